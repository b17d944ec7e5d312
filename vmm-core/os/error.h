// The one exception type of the VMM's control plane.
//
// Thrown by set-up, control and tear-down code when the host refuses something; never by data-path code
// (which is noexcept and returns results) and never because of what a guest did. Any thread.
#pragma once

#include <stdexcept>
#include <string>
#include <system_error>

namespace warren::vmm {

class Error : public std::runtime_error {
 public:
  // `context` names the object and what was being done to it, e.g. "disk vda: set up io_uring".
  Error(std::errc code, const std::string& context);
  // From an errno value, which must be positive.
  static Error from_errno(int error_number, const std::string& context);

  std::errc code() const noexcept { return code_; }

 private:
  std::errc code_;
};

// Throws from the current errno. Call it before anything else can change errno.
[[noreturn]] void throw_errno(const std::string& context);

}  // namespace warren::vmm
