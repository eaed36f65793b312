// predict_speed PLAN MODEL PROFILE PROMPT DEPTH [READ…]: what the cost model says of a plan on a
// calibrated machine, term by term, as JSON: a prompt of PROMPT tokens from position 0, and one
// token decoded at DEPTH, with all rows of tables in the page cache; "decode_at" has the seconds of
// the token when memory is read with READ bytes a second. For tests/benchmarks/prediction.py, which
// measures the same.
#include "compiler/Driver/PredictSpeed.h"
#include "compiler/Driver/Commands.h"
#include "compiler/Driver/ModelShape.h"
#include "compiler/Import/ImportModel.h"
#include "compiler/Profile/DeviceProfile.h"

#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using namespace gcompile;

static llvm::json::Object termsOf(const TimeEstimate &estimate) {
  llvm::json::Object terms;
  for (const TimeTerm &term : estimate.terms)
    terms[term.name] = term.seconds;
  return llvm::json::Object{{"seconds", estimate.seconds()},
                            {"low", estimate.low},
                            {"high", estimate.high},
                            {"limit", estimate.dominantLimit()},
                            {"terms", std::move(terms)}};
}

int main(int argc, char **argv) {
  if (argc < 6) {
    llvm::errs() << "usage: predict_speed PLAN MODEL PROFILE PROMPT DEPTH [READ...]\n";
    return 2;
  }
  llvm::ExitOnError exitOnError("predict_speed: ");
  Plan plan = exitOnError(loadPlan(argv[1]));
  ImportedModel imported = exitOnError(importModel(argv[2]));
  DeviceProfile profile = exitOnError(loadProfile(argv[3], profileFolders("")));
  int64_t prompt = 0, depth = 0;
  if (llvm::StringRef(argv[4]).getAsInteger(10, prompt) ||
      llvm::StringRef(argv[5]).getAsInteger(10, depth)) {
    llvm::errs() << "predict_speed: PROMPT and DEPTH are numbers of tokens\n";
    return 2;
  }
  ModelShape model = shapeOf(imported.config);
  MachineModel machine = machineModel(profile);
  llvm::json::Array decodeAt;
  for (int i = 6; i < argc; ++i) {
    double read = 0;
    if (llvm::StringRef(argv[i]).getAsDouble(read) || read <= 0) {
      llvm::errs() << "predict_speed: READ is a rate in bytes a second\n";
      return 2;
    }
    // Of the model's own weights: what part of them caches keep is in it.
    MachineModel now = atReadBandwidth(machine, read, decodeWorkingSetOf(plan, model, depth));
    decodeAt.push_back(decodeTimeOf(plan, model, now, depth, 0).seconds());
  }
  llvm::outs()
      << llvm::json::Value(llvm::json::Object{
             {"decode", termsOf(decodeTimeOf(plan, model, machine, depth, /*coldShare=*/0))},
             {"prefill", termsOf(prefillTimeOf(plan, model, machine, prompt, /*coldShare=*/0))},
             {"decode_at", std::move(decodeAt)},
             {"read_bytes_per_second", machine.readBytesPerSecond},
             {"launches", decodeLaunches(model)}})
      << "\n";
  return 0;
}
