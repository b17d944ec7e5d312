// Devices that come, go and change.
#include <fmt/format.h>

#include "driver/config/device_change.h"
#include "driver/config/domain_xml.h"
#include "driver/domain/domain.h"

namespace warren::driver::domain {

namespace {

// What one document says to each of the two definitions: names and aliases that a running domain was given
// mean nothing to the persistent one.
struct GivenDevice {
  config::Device live;
  config::Device persistent;
};

GivenDevice parse_given(const std::string& xml, config::DeviceUse use) {
  return {.live = config::parse_device(xml, use, false), .persistent = config::parse_device(xml, use, true)};
}

GivenDevice parse_new(const std::string& xml) {
  GivenDevice given = parse_given(xml, config::DeviceUse::change);
  config::complete_device(given.persistent);
  // A MAC address is chosen once.
  if (auto* interface = std::get_if<config::Interface>(&given.live))
    interface->mac = std::get<config::Interface>(given.persistent).mac;
  config::complete_device(given.live);
  return given;
}

GivenDevice parse_named(const std::string& xml, config::DeviceUse use) {
  GivenDevice given = parse_given(xml, use);
  // An interface without a MAC address may be any; to choose one would make it none.
  if (!std::holds_alternative<config::Interface>(given.live)) {
    config::complete_device(given.live);
    config::complete_device(given.persistent);
  }
  return given;
}

// As define would complete and refuse it.
void complete(config::DomainDefinition& persistent, const config::HostFacts& facts) {
  config::fill_defaults(persistent, facts);
  config::check_readable(persistent);
}

[[noreturn]] void refuse_live(std::string_view change, const config::Device& device) {
  throw operation_unsupported(fmt::format("live {} of device '{}' is not supported yet: use --config", change,
                                          config::device_kind(device)));
}

}  // namespace

Task<> Domain::attach_device(Caller caller, std::string xml, unsigned int flags) {
  Change change = [given = parse_new(xml), environment = environment_](config::DomainDefinition& definition,
                                                                       bool is_live) {
    if (is_live) refuse_live("attach", given.live);
    config::add_device(definition, given.persistent);
    complete(definition, environment->facts);
  };
  return modify(std::move(caller), "attach device", flags, std::move(change));
}

Task<> Domain::detach_device(Caller caller, std::string xml, unsigned int flags) {
  Change change = [given = parse_named(xml, config::DeviceUse::removal), environment = environment_](
                      config::DomainDefinition& definition, bool is_live) {
    if (is_live) {
      config::find_device(definition, given.live);
      refuse_live("detach", given.live);
    }
    config::remove_device(definition, given.persistent);
    complete(definition, environment->facts);
  };
  return modify(std::move(caller), "detach device", flags, std::move(change));
}

Task<> Domain::detach_device_by_alias(Caller caller, std::string alias, unsigned int flags) {
  Change change = [alias, environment = environment_](config::DomainDefinition& definition, bool is_live) {
    const config::Device device = config::device_with_alias(definition, alias);
    if (is_live) refuse_live("detach", device);
    config::remove_device(definition, device);
    complete(definition, environment->facts);
  };
  return modify(std::move(caller), "detach device", flags, std::move(change));
}

Task<> Domain::update_device(Caller caller, std::string xml, unsigned int flags) {
  Change change = [given = parse_named(xml, config::DeviceUse::change), environment = environment_](
                      config::DomainDefinition& definition, bool is_live) {
    if (is_live) {
      config::find_device(definition, given.live);
      refuse_live("update", given.live);
    }
    config::replace_device(definition, given.persistent);
    complete(definition, environment->facts);
  };
  return modify(std::move(caller), "update device", flags, std::move(change));
}

}  // namespace warren::driver::domain
