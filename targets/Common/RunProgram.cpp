#include "targets/Common/RunProgram.h"

#include "llvm/Support/Program.h"

#include <atomic>
#include <csignal>
#include <sys/wait.h>

namespace gcompile {
namespace {

// More at once than slots: those are not ended by a signal.
constexpr int slots = 32;
std::atomic<pid_t> running[slots];

void add(pid_t program) {
  for (std::atomic<pid_t> &slot : running) {
    pid_t none = 0;
    if (slot.compare_exchange_strong(none, program))
      return;
  }
}

void remove(pid_t program) {
  for (std::atomic<pid_t> &slot : running) {
    pid_t expected = program;
    if (slot.compare_exchange_strong(expected, 0))
      return;
  }
}

} // namespace

int runProgram(llvm::StringRef program, llvm::ArrayRef<llvm::StringRef> arguments,
               llvm::ArrayRef<std::optional<llvm::StringRef>> redirects, std::string &why) {
  bool failed = false;
  llvm::sys::ProcessInfo process = llvm::sys::ExecuteNoWait(
      program, arguments, std::nullopt, redirects, /*MemoryLimit=*/0, &why, &failed);
  if (failed)
    return -1;
  add(process.Pid);
  llvm::sys::ProcessInfo ended = llvm::sys::Wait(process, std::nullopt, &why);
  remove(process.Pid);
  return ended.ReturnCode;
}

void stopRunningPrograms() {
  // SIGTERM, so that they remove their own temporary files.
  for (std::atomic<pid_t> &slot : running)
    if (pid_t program = slot.load())
      kill(program, SIGTERM);
  for (std::atomic<pid_t> &slot : running)
    if (pid_t program = slot.load())
      waitpid(program, nullptr, 0);
}

} // namespace gcompile
