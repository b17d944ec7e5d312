// Memory, metadata and names.
#include <algorithm>

#include <fmt/format.h>

#include "driver/config/domain_xml.h"
#include "driver/domain/local_driver.h"

namespace warren::driver::domain {

std::uint64_t LocalDriver::maximum_memory_kib(const Caller&, const Uuid& uuid) const {
  return snapshot(uuid).current().memory.maximum_kib;
}

void LocalDriver::set_memory(const Caller& caller, const Uuid& uuid, std::uint64_t kib, unsigned int flags,
                             Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG | VIR_DOMAIN_MEM_MAXIMUM,
                "virDomainSetMemoryFlags");
    if (kib == 0) throw invalid_argument("memory in virDomainSetMemoryFlags must not be zero");
    if ((flags & VIR_DOMAIN_MEM_MAXIMUM) == 0) return domain.set_memory(caller, kib, flags);
    auto set = [kib](config::DomainDefinition& definition, bool is_live) {
      if (is_live) throw operation_invalid("cannot resize the maximum memory on an active domain");
      if (definition.cpu && !definition.cpu->numa.empty()) {
        throw operation_invalid(
            "initial memory size of a domain with NUMA nodes cannot be modified with this API");
      }
      if (definition.memory.limit_kib != 0 && definition.memory.limit_kib < kib)
        throw operation_invalid("cannot set initial memory size greater than the maximum memory size");
      definition.memory.maximum_kib = kib;
      definition.memory.current_kib = std::min(definition.memory.current_kib, kib);
    };
    return domain.modify(caller, "set memory", flags & (VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG),
                         set);
  });
}

void LocalDriver::set_memory_statistics_period(const Caller& caller, const Uuid& uuid, std::int32_t seconds,
                                               unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG, "virDomainSetMemoryStatsPeriod");
    if (seconds < 0)
      throw invalid_argument("period in virDomainSetMemoryStatsPeriod must be zero or greater");
    return domain.set_statistics_period(caller, static_cast<std::uint32_t>(seconds), flags);
  });
}

void LocalDriver::set_autostart(const Caller& caller, const Uuid& uuid, bool autostart,
                                Completion<void> completion) {
  change<void>(uuid, std::move(completion),
               [&](Domain& domain) { return domain.set_autostart(caller, autostart); });
}

void LocalDriver::rename(const Caller& caller, const Uuid& uuid, std::string new_name, unsigned int flags,
                         Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainRename");
    return domain.rename(caller, std::move(new_name));
  });
}

std::string LocalDriver::metadata(const Caller&, const Uuid& uuid, int type,
                                  const std::optional<std::string>& uri, unsigned int flags) const {
  check_flags(flags, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG, "virDomainGetMetadata");
  const auto& definition = definition_for(snapshot(uuid), flags);
  switch (type) {
    case VIR_DOMAIN_METADATA_DESCRIPTION:
      if (!definition.description.empty()) return definition.description;
      break;
    case VIR_DOMAIN_METADATA_TITLE:
      if (!definition.title.empty()) return definition.title;
      break;
    case VIR_DOMAIN_METADATA_ELEMENT:
      if (!uri) throw invalid_argument("virDomainGetMetadata needs the namespace's URI for an element");
      for (const auto& element : definition.metadata) {
        if (element.namespace_uri == *uri) return config::metadata_content(element);
      }
      break;
    default:
      throw invalid_argument(fmt::format("unknown metadata type {}", type));
  }
  throw Error(VIR_ERR_NO_DOMAIN_METADATA, "Requested metadata element is not present");
}

namespace {

void apply_metadata(config::DomainDefinition& definition, const DomainConfiguration::MetadataChange& change) {
  if (change.type == VIR_DOMAIN_METADATA_DESCRIPTION) {
    definition.description = change.text.value_or("");
  } else if (change.type == VIR_DOMAIN_METADATA_TITLE) {
    definition.title = change.text.value_or("");
  } else {
    std::erase_if(definition.metadata,
                  [&](const auto& element) { return element.namespace_uri == *change.uri; });
    if (change.text) {
      definition.metadata.push_back(
          config::parse_metadata_element(*change.text, change.key.value_or(""), *change.uri));
    }
  }
  config::check_readable(definition);
}

void check_metadata(const DomainConfiguration::MetadataChange& change) {
  switch (change.type) {
    case VIR_DOMAIN_METADATA_DESCRIPTION:
      return;
    case VIR_DOMAIN_METADATA_TITLE:
      if (change.text && change.text->find('\n') != std::string::npos) {
        throw invalid_argument("metadata title can't contain newlines");
      }
      return;
    case VIR_DOMAIN_METADATA_ELEMENT:
      if (!change.uri || change.uri->empty())
        throw invalid_argument("a metadata element needs a namespace URI");
      if (change.text && (!change.key || change.key->empty())) {
        throw invalid_argument("a metadata element needs a namespace prefix");
      }
      return;
    default:
      throw invalid_argument(fmt::format("unknown metadata type {}", change.type));
  }
}

}  // namespace

void LocalDriver::set_metadata(const Caller& caller, const Uuid& uuid, MetadataChange change,
                               unsigned int flags, Completion<void> completion) {
  this->change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG, "virDomainSetMetadata");
    check_metadata(change);
    MetadataChangeEvent event{change.type,
                              change.type == VIR_DOMAIN_METADATA_ELEMENT ? change.uri : std::nullopt};
    auto apply = [change = std::move(change)](config::DomainDefinition& definition, bool) {
      apply_metadata(definition, change);
    };
    return domain.modify(caller, "set metadata", flags, std::move(apply), std::move(event));
  });
}

}  // namespace warren::driver::domain
