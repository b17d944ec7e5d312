#include "vmm-core/sandbox/probe.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace warren::vmm {

bool ProbeResult::killed_by_filter() const {
  return signal == SIGSYS;
}

ProbeResult run_probe(const std::function<int()>& body) {
  std::array<int, 2> output;
  if (pipe(output.data()) != 0) return {};
  pid_t child = fork();
  if (child == 0) {
    dup2(output[1], STDERR_FILENO);
    int code = 255;
    try {
      code = body();
    } catch (const std::exception& error) {
      dprintf(STDERR_FILENO, "%s\n", error.what());
    }
    _exit(code);
  }
  close(output[1]);
  ProbeResult result;
  std::array<char, 512> buffer;
  for (ssize_t count; (count = read(output[0], buffer.data(), buffer.size())) > 0;)
    result.output.append(buffer.data(), static_cast<std::size_t>(count));
  close(output[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

int expect_errno(long result, int error, int other_error, const char* what) {
  if (result < 0 && (errno == error || errno == other_error)) return 0;
  dprintf(STDERR_FILENO, "%s: result %ld, %s; expected %s\n", what, result,
          result < 0 ? strerrorname_np(errno) : "success", strerrorname_np(error));
  return 1;
}

}  // namespace warren::vmm
