// A probe: a forked process that locks itself in and then tries what it must not be able to do.
#pragma once

#include <functional>
#include <string>

namespace warren::vmm {

struct ProbeResult {
  int exit_code = -1;  // -1: killed
  int signal = 0;
  std::string output;  // what it wrote to standard error
  bool killed_by_filter() const;
};

// Runs `body` in a forked process and waits for it; the exit code is body's result, 255 for an exception
// (whose text is in the output).
ProbeResult run_probe(const std::function<int()>& body);

// Inside a probe: prints what was got and expected; usable as `return expect_errno(open(…), EACCES, "open")`.
// Gives 0 when the call failed with one of the two errors, 1 otherwise.
int expect_errno(long result, int error, int other_error, const char* what);

}  // namespace warren::vmm
