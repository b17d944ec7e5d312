#include "vmm-core/os/error.h"

#include <cerrno>

namespace warren::vmm {

Error::Error(std::errc code, const std::string& context)
    : std::runtime_error(context + ": " + std::make_error_code(code).message()), code_(code) {}

Error Error::from_errno(int error_number, const std::string& context) {
  return {static_cast<std::errc>(error_number), context};
}

void throw_errno(const std::string& context) {
  throw Error::from_errno(errno, context);
}

}  // namespace warren::vmm
