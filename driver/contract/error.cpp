#include "driver/contract/error.h"

#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace warren::driver {

namespace {

// The general text of each code, with a place for the detail. Clients and scripts match on these words, so
// they are those of libvirt's client library. Codes that are not here have none: the detail stands alone.
std::string_view template_of(virErrorNumber code) {
  switch (code) {
    case VIR_ERR_INTERNAL_ERROR:
      return "internal error: %s";
    case VIR_ERR_NO_MEMORY:
      return "out of memory: %s";
    case VIR_ERR_NO_SUPPORT:
      return "this function is not supported by the connection driver: %s";
    case VIR_ERR_NO_CONNECT:
      return "no connection driver available for %s";
    case VIR_ERR_INVALID_ARG:
      return "invalid argument: %s";
    case VIR_ERR_OPERATION_FAILED:
      return "operation failed: %s";
    case VIR_ERR_OS_TYPE:
      return "unknown OS type %s";
    case VIR_ERR_XML_ERROR:
      return "XML error: %s";
    case VIR_ERR_DOM_EXIST:
      return "domain %s exists already";
    case VIR_ERR_OPERATION_DENIED:
      return "operation forbidden: %s";
    case VIR_ERR_CONF_SYNTAX:
      return "configuration file syntax error: %s";
    case VIR_ERR_NO_DOMAIN:
      return "Domain not found: %s";
    case VIR_ERR_NO_NETWORK:
      return "Network not found: %s";
    case VIR_ERR_NO_NETWORK_PORT:
      return "network port not found: %s";
    case VIR_ERR_NETWORK_PORT_EXIST:
      return "network port %s exists already";
    case VIR_ERR_NO_INTERFACE:
      return "Interface not found: %s";
    case VIR_ERR_MULTIPLE_INTERFACES:
      return "Multiple matching interfaces found: %s";
    case VIR_ERR_NO_NWFILTER:
      return "Network filter not found: %s";
    case VIR_ERR_INVALID_NWFILTER:
      return "Invalid network filter: %s";
    case VIR_ERR_NO_NWFILTER_BINDING:
      return "Network filter binding not found: %s";
    case VIR_ERR_INVALID_NWFILTER_BINDING:
      return "Invalid network filter binding: %s";
    case VIR_ERR_NO_STORAGE_POOL:
      return "Storage pool not found: %s";
    case VIR_ERR_NO_STORAGE_VOL:
      return "Storage volume not found: %s";
    case VIR_ERR_STORAGE_VOL_EXIST:
      return "storage volume %s exists already";
    case VIR_ERR_INVALID_SECRET:
      return "Invalid secret: %s";
    case VIR_ERR_NO_SECRET:
      return "Secret not found: %s";
    case VIR_ERR_AUTH_FAILED:
      return "authentication failed: %s";
    case VIR_ERR_OPERATION_INVALID:
      return "Requested operation is not valid: %s";
    case VIR_ERR_CONFIG_UNSUPPORTED:
      return "unsupported configuration: %s";
    case VIR_ERR_OPERATION_TIMEOUT:
      return "Timed out during operation: %s";
    case VIR_ERR_ARGUMENT_UNSUPPORTED:
      return "argument unsupported: %s";
    case VIR_ERR_OPERATION_ABORTED:
      return "operation aborted: %s";
    case VIR_ERR_NO_DOMAIN_METADATA:
      return "metadata not found: %s";
    case VIR_ERR_OVERFLOW:
      return "numerical overflow: %s";
    case VIR_ERR_OPERATION_UNSUPPORTED:
      return "Operation not supported: %s";
    case VIR_ERR_AGENT_UNRESPONSIVE:
      return "Guest agent is not responding: %s";
    case VIR_ERR_RESOURCE_BUSY:
      return "resource busy: %s";
    case VIR_ERR_ACCESS_DENIED:
      return "access denied: %s";
    case VIR_ERR_XML_INVALID_SCHEMA:
      return "XML document failed to validate against schema: %s";
    case VIR_ERR_CPU_INCOMPATIBLE:
      return "the CPU is incompatible with host CPU: %s";
    case VIR_ERR_AUTH_UNAVAILABLE:
      return "authentication unavailable: %s";
    case VIR_ERR_DEVICE_MISSING:
      return "device not found: %s";
    default:
      return "%s";
  }
}

std::string at(std::string_view path, int line) {
  return line > 0 ? fmt::format("{} (line {})", path, line) : std::string(path);
}

}  // namespace

Error::Error(virErrorNumber code, std::string detail, virErrorDomain domain)
    : code_(code), domain_(domain), template_(template_of(code)), detail_(std::move(detail)) {
  auto place = template_.find("%s");
  message_ = fmt::format("{}{}{}", template_.substr(0, place), detail_, template_.substr(place + 2));
}

Error Error::with_str3(std::string text) && {
  str3_ = std::move(text);
  return std::move(*this);
}

Error Error::with_numbers(int int1, int int2) && {
  int1_ = int1;
  int2_ = int2;
  return std::move(*this);
}

Error no_domain(const Uuid& uuid, std::string_view name) {
  if (name.empty()) return no_domain_with_uuid(uuid);
  return {VIR_ERR_NO_DOMAIN, fmt::format("no domain with matching uuid '{}' ({})", uuid.to_string(), name)};
}

Error no_domain_with_uuid(const Uuid& uuid) {
  return {VIR_ERR_NO_DOMAIN, fmt::format("no domain with matching uuid '{}'", uuid.to_string())};
}

Error no_domain_with_name(std::string_view name) {
  return {VIR_ERR_NO_DOMAIN, fmt::format("no domain with matching name '{}'", name)};
}

Error no_domain_with_id(int id) {
  return {VIR_ERR_NO_DOMAIN, fmt::format("no domain with matching id '{}'", id)};
}

Error operation_invalid(std::string detail) {
  return {VIR_ERR_OPERATION_INVALID, std::move(detail)};
}
Error operation_unsupported(std::string detail) {
  return {VIR_ERR_OPERATION_UNSUPPORTED, std::move(detail)};
}
Error operation_failed(std::string detail) {
  return {VIR_ERR_OPERATION_FAILED, std::move(detail)};
}
Error internal_error(std::string detail) {
  return {VIR_ERR_INTERNAL_ERROR, std::move(detail)};
}
Error invalid_argument(std::string detail) {
  return {VIR_ERR_INVALID_ARG, std::move(detail)};
}

Error unsupported_flags(unsigned int flags, unsigned int supported, std::string_view function) {
  return invalid_argument(
      fmt::format("unsupported flags ({:#x}) in function {}", flags & ~supported, function));
}

Error config_unsupported(std::string_view path, int line, std::string_view detail) {
  return {VIR_ERR_CONFIG_UNSUPPORTED, fmt::format("{}: {}", at(path, line), detail), VIR_FROM_DOMAIN};
}

Error xml_error(std::string_view path, int line, std::string_view detail) {
  return {VIR_ERR_XML_ERROR, fmt::format("{}: {}", at(path, line), detail), VIR_FROM_DOMAIN};
}

Error system_error(int error_number, std::string_view context) {
  return Error(VIR_ERR_SYSTEM_ERROR,
               fmt::format("{}: {}", context, std::system_category().message(error_number)))
      .with_numbers(error_number, -1);
}

void check_flags(unsigned int flags, unsigned int supported, std::string_view function) {
  if ((flags & ~supported) != 0) throw unsupported_flags(flags, supported, function);
}

}  // namespace warren::driver
