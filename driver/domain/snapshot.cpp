#include "driver/domain/snapshot.h"

#include <libvirt/libvirt.h>

#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::domain {

const std::string& Snapshot::xml(unsigned int flags) const {
  bool inactive = (flags & (VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_MIGRATABLE)) != 0;
  bool wants_persistent = (flags & VIR_DOMAIN_XML_INACTIVE) != 0 && persistent;
  const config::DomainDefinition& definition = wants_persistent ? *persistent : current();
  CachedText& cached = cache_[wants_persistent ? 1 : 0];
  if (cached.text.empty() || cached.flags != flags) {
    cached.text = config::format_domain(definition, {.inactive = inactive || !is_active(),
                                                     .secure = (flags & VIR_DOMAIN_XML_SECURE) != 0,
                                                     .migratable = (flags & VIR_DOMAIN_XML_MIGRATABLE) != 0});
    cached.flags = flags;
  }
  return cached.text;
}

namespace {

// True when no flag of the group is given, or the one that fits is.
bool fits(unsigned int flags, unsigned int group, unsigned int matching) {
  return (flags & group) == 0 || (flags & matching) != 0;
}

unsigned int state_flag(int state) {
  switch (state) {
    case VIR_DOMAIN_RUNNING:
      return VIR_CONNECT_LIST_DOMAINS_RUNNING;
    case VIR_DOMAIN_PAUSED:
      return VIR_CONNECT_LIST_DOMAINS_PAUSED;
    case VIR_DOMAIN_SHUTOFF:
      return VIR_CONNECT_LIST_DOMAINS_SHUTOFF;
    default:
      return VIR_CONNECT_LIST_DOMAINS_OTHER;
  }
}

}  // namespace

bool is_listed(const Snapshot& snapshot, unsigned int flags) {
  auto yes_no = [flags](unsigned int yes, unsigned int no, bool value) {
    return fits(flags, yes | no, value ? yes : no);
  };
  return yes_no(VIR_CONNECT_LIST_DOMAINS_ACTIVE, VIR_CONNECT_LIST_DOMAINS_INACTIVE, snapshot.is_active()) &&
         yes_no(VIR_CONNECT_LIST_DOMAINS_PERSISTENT, VIR_CONNECT_LIST_DOMAINS_TRANSIENT,
                snapshot.is_persistent) &&
         fits(flags,
              VIR_CONNECT_LIST_DOMAINS_RUNNING | VIR_CONNECT_LIST_DOMAINS_PAUSED |
                  VIR_CONNECT_LIST_DOMAINS_SHUTOFF | VIR_CONNECT_LIST_DOMAINS_OTHER,
              state_flag(snapshot.state.state)) &&
         yes_no(VIR_CONNECT_LIST_DOMAINS_AUTOSTART, VIR_CONNECT_LIST_DOMAINS_NO_AUTOSTART,
                snapshot.autostart) &&
         // None of these exist yet.
         yes_no(VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE, VIR_CONNECT_LIST_DOMAINS_NO_MANAGEDSAVE, false) &&
         yes_no(VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT, VIR_CONNECT_LIST_DOMAINS_NO_SNAPSHOT, false) &&
         yes_no(VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT, VIR_CONNECT_LIST_DOMAINS_NO_CHECKPOINT, false);
}

Affected affected_by(const Snapshot& snapshot, unsigned int flags) {
  Affected affected{(flags & VIR_DOMAIN_AFFECT_LIVE) != 0, (flags & VIR_DOMAIN_AFFECT_CONFIG) != 0};
  if (!affected.live && !affected.persistent) {
    (snapshot.is_active() ? affected.live : affected.persistent) = true;
  }
  if (affected.live && !snapshot.is_active()) throw operation_invalid("domain is not running");
  if (affected.persistent && !snapshot.is_persistent) {
    throw operation_invalid("transient domains do not have any persistent config");
  }
  return affected;
}

const config::DomainDefinition& definition_for(const Snapshot& snapshot, unsigned int flags) {
  if ((flags & VIR_DOMAIN_AFFECT_LIVE) != 0 && (flags & VIR_DOMAIN_AFFECT_CONFIG) != 0) {
    throw invalid_argument(
        "flags VIR_DOMAIN_AFFECT_LIVE and VIR_DOMAIN_AFFECT_CONFIG exclude each other here");
  }
  return affected_by(snapshot, flags).live ? *snapshot.live : *snapshot.persistent;
}

}  // namespace warren::driver::domain
