#include "daemon/rpc/connection_uri.h"

#include <fmt/format.h>

#include "driver/contract/error.h"

namespace warren::daemon::rpc {

ConnectionUri resolve_connection_uri(std::string_view name, bool session_mode) {
  std::string_view served = session_mode ? "/session" : "/system";
  if (name.empty()) return {fmt::format("warren://{}", served), driver::UriFlavour::warren};

  std::string_view rest = name.substr(0, name.find_first_of("?#"));
  std::size_t colon = rest.find(':');
  std::string_view scheme = rest.substr(0, colon == std::string_view::npos ? 0 : colon);
  ConnectionUri result{std::string(name), driver::UriFlavour::warren};
  if (scheme == "qemu") {
    result.flavour = driver::UriFlavour::qemu;
  } else if (scheme != "warren") {
    throw driver::Error(VIR_ERR_NO_CONNECT, std::string(name), VIR_FROM_NONE);
  }
  rest = rest.substr(colon + 1);
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    if (!rest.empty() && rest.front() != '/')
      throw driver::Error(VIR_ERR_NO_CONNECT, std::string(name), VIR_FROM_NONE);
  }
  // A root client's qemu:///session reaches the system daemon (the client never uses a socket of root's own).
  if (rest == served || (!session_mode && rest == "/session")) return result;
  // The scheme's shortest forms mean the daemon they reached.
  if (result.flavour == driver::UriFlavour::warren && (rest.empty() || rest == "/")) return result;
  throw driver::Error(VIR_ERR_INTERNAL_ERROR,
                      rest.empty()
                          ? fmt::format("no {0} URI path given, try {0}://{1}", scheme, served)
                          : fmt::format("unexpected {0} URI path '{1}', try {0}://{2}", scheme, rest, served),
                      VIR_FROM_NONE);
}

}  // namespace warren::daemon::rpc
