// The one exception type of the driver layer: what a libvirt client gets to see as its virError.
//
// Front doors turn it into an RPC error or a D-Bus error as it is. The message is libvirt's general text of
// the code followed by the detail ("Domain not found: no domain with matching name 'x'"); the detail names
// the object, what was wrong, where, and what to do. Any thread; copyable.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include <libvirt/virterror.h>

#include "driver/contract/uuid.h"

namespace warren::driver {

class Error : public std::exception {
 public:
  // `domain` is the part of the library that libvirt would name (virErrorDomain).
  Error(virErrorNumber code, std::string detail, virErrorDomain domain = VIR_FROM_QEMU);

  const char* what() const noexcept override { return message_.c_str(); }

  virErrorNumber code() const noexcept { return code_; }
  virErrorDomain domain() const noexcept { return domain_; }
  virErrorLevel level() const noexcept { return VIR_ERR_ERROR; }
  const std::string& message() const noexcept { return message_; }
  const std::string& detail() const noexcept { return detail_; }

  // The remaining members of virError as libvirt fills them: the message's template, the detail, and (rarely)
  // a third string and two numbers.
  std::string_view str1() const noexcept { return template_; }
  const std::string& str2() const noexcept { return detail_; }
  const std::optional<std::string>& str3() const noexcept { return str3_; }
  int int1() const noexcept { return int1_; }
  int int2() const noexcept { return int2_; }

  Error with_str3(std::string text) &&;
  Error with_numbers(int int1, int int2) &&;

 private:
  virErrorNumber code_;
  virErrorDomain domain_;
  std::string_view template_;  // of static storage
  std::string detail_;
  std::string message_;
  std::optional<std::string> str3_;
  int int1_ = -1;
  int int2_ = -1;
};

// The usual errors. Each returns the exception to throw or to complete with.
Error no_domain(const Uuid& uuid, std::string_view name);  // looked up by handle
Error no_domain_with_uuid(const Uuid& uuid);
Error no_domain_with_name(std::string_view name);
Error no_domain_with_id(int id);
Error operation_invalid(
    std::string detail);  // the object is in the wrong state, e.g. "domain is not running"
Error operation_unsupported(std::string detail);  // Warren, or this guest, cannot do it
Error operation_failed(std::string detail);
Error internal_error(std::string detail);
Error invalid_argument(std::string detail);
// Bits of `flags` outside `supported`, in the function that refuses them.
Error unsupported_flags(unsigned int flags, unsigned int supported, std::string_view function);
// An element or attribute that asks for what Warren cannot do: `path` is its XPath, `line` its line or 0.
Error config_unsupported(std::string_view path, int line, std::string_view detail);
Error xml_error(std::string_view path, int line, std::string_view detail);
// From an errno of the host; `context` names the object and what was being done to it.
Error system_error(int error_number, std::string_view context);

// Throws unsupported_flags() unless every bit of `flags` is in `supported`.
void check_flags(unsigned int flags, unsigned int supported, std::string_view function);

}  // namespace warren::driver
