// grun: the command line of the runtime. Standard output is the result, standard error everything
// else.
#include "runtime/tools/Run.h"

using namespace gcompile::tools;

namespace {

ExitCode verify(const Arguments &arguments) {
  gc_status status = gc_verify(arguments.file);
  if (status != GC_OK)
    return report(status);
  if (arguments.json)
    Json(stdout).open('{').key("ok").boolean(1).close('}').end();
  else
    printf("%s: every byte is as it was written\n", arguments.file);
  return ExitDone;
}

ExitCode dispatch(Run &run) {
  switch (run.arguments.mode) {
  case Mode::Generate:
    return run.arguments.render ? runRender(run) : runGenerate(run);
  case Mode::Conversation:
    return runConversation(run);
  case Mode::Perplexity:
    return runPerplexity(run);
  case Mode::Tokenize:
    return runTokenize(run);
  case Mode::Detokenize:
    return runDetokenize(run);
  case Mode::Logits:
    return runLogits(run);
  case Mode::Bench:
    return runBench(run);
  case Mode::Verify:
  case Mode::Help:
  case Mode::Version:
    break;
  }
  return ExitOurBug;
}

} // namespace

int main(int count, char **values) {
  Arguments arguments;
  ExitCode code = parseArguments(count, values, arguments);
  if (code != ExitDone)
    return code;
  if (arguments.mode == Mode::Help) {
    printHelp();
    return ExitDone;
  }
  if (arguments.mode == Mode::Version) {
    puts("grun " GC_RUNTIME_VERSION);
    return ExitDone;
  }
  if (arguments.mode == Mode::Verify)
    return verify(arguments);

  Run run{arguments};
  double begin = now();
  gc_status status = gc_open(arguments.file, nullptr, &run.model);
  if (status != GC_OK)
    return report(status);
  run.loadSeconds = now() - begin;
  gc_get_model_info(run.model, &run.info);
  code = dispatch(run);
  gc_session_destroy(run.session);
  gc_close(run.model);
  if (fflush(stdout) != 0 || ferror(stdout))
    return code == ExitDone ? badInput("cannot write to standard output") : code;
  return code;
}
