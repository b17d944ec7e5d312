#include "daemon/rpc/api_name.h"

#include <cctype>
#include <utility>

namespace warren::daemon::rpc {
namespace {

// Words that the public names do not merely capitalize.
constexpr std::pair<std::string_view, std::string_view> kSpelling[] = {
    {"XML", "XML"},
    {"CPU", "CPU"},
    {"ID", "ID"},
    {"UUID", "UUID"},
    {"FD", "FD"},
    {"PM", "PM"},
    {"SSH", "SSH"},
    {"MAC", "MAC"},
    {"FSFREEZE", "FSFreeze"},
    {"FSTHAW", "FSThaw"},
    {"FSTRIM", "FSTrim"},
    {"NWFILTER", "NWFilter"},
    {"NWFILTERS", "NWFilters"},
    {"IOTHREAD", "IOThread"},
    {"SETMAXMEMORY", "SetMaxMemory"},
    {"DHCP", "DHCP"},
    {"FDASSOCIATE", "FDAssociate"},
};

constexpr std::pair<std::string_view, virErrorDomain> kDomains[] = {
    {"DOMAIN_SNAPSHOT", VIR_FROM_DOMAIN_SNAPSHOT},
    {"DOMAIN_CHECKPOINT", VIR_FROM_DOMAIN_CHECKPOINT},
    {"DOMAIN", VIR_FROM_DOMAIN},
    {"NETWORK", VIR_FROM_NETWORK},
    {"STORAGE", VIR_FROM_STORAGE},
    {"NODE_DEVICE", VIR_FROM_NODEDEV},
    {"INTERFACE", VIR_FROM_INTERFACE},
    {"SECRET", VIR_FROM_SECRET},
    {"NWFILTER", VIR_FROM_NWFILTER},
};

std::string spelled(std::string_view word) {
  for (const auto& [from, to] : kSpelling) {
    if (word == from) return std::string(to);
  }
  std::string capitalized(word);
  for (char& c : capitalized) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (!capitalized.empty())
    capitalized[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(word[0])));
  return capitalized;
}

}  // namespace

std::string api_name(std::string_view procedure) {
  std::string name = "vir";
  while (!procedure.empty()) {
    std::size_t end = procedure.find('_');
    name += spelled(procedure.substr(0, end));
    procedure = end == std::string_view::npos ? std::string_view{} : procedure.substr(end + 1);
  }
  return name;
}

virErrorDomain api_error_domain(std::string_view procedure) {
  for (const auto& [prefix, domain] : kDomains) {
    if (procedure.starts_with(prefix)) return domain;
  }
  return VIR_FROM_NONE;
}

}  // namespace warren::daemon::rpc
