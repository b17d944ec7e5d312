// Devices that come, go and change: what is asked, and of which definition.
#include <algorithm>

#include <fmt/format.h>

#include "driver/config/device_change.h"
#include "driver/config/domain_xml.h"
#include "driver/domain/disk_volume.h"
#include "driver/domain/domain.h"
#include "driver/domain/hot_plug.h"

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

bool is_drive_of(const config::DomainDefinition& definition, const config::Device& device) {
  const auto* drive = std::get_if<config::Disk>(&device);
  return drive != nullptr && drive->device == config::DiskDevice::cdrom &&
         std::ranges::any_of(definition.devices.disks, [&](const config::Disk& disk) {
           return disk.device == drive->device && disk.bus == drive->bus && disk.target == drive->target;
         });
}

}  // namespace

void complete_changed(config::DomainDefinition& definition, const config::HostFacts& facts) {
  config::fill_defaults(definition, facts);
  config::check_readable(definition);
}

Task<> Domain::attach_device(Caller caller, std::string xml, unsigned int flags) {
  GivenDevice given = parse_new(xml);
  // A drive that is there already is given a medium by this, as it was before there was another way.
  if (snapshot_ && snapshot_->live && is_drive_of(*snapshot_->live, given.live)) {
    const Affected affected = affected_by(*snapshot_, flags);
    if (affected.live && !affected.persistent) {
      co_await update_device(std::move(caller), std::move(xml), flags);
      co_return;
    }
  }
  auto hold = co_await slot_.acquire(job_of("attach device", caller));
  if (!persistent_ && !live_) throw no_domain(uuid_, name_);
  const Affected affected = affected_by(*snapshot_, flags);
  DefinitionPointer persistent;
  if (affected.persistent) {
    auto changed = std::make_shared<config::DomainDefinition>(*persistent_);
    config::add_device(*changed, given.persistent);
    complete_changed(*changed, environment_->facts);
    persistent = std::move(changed);
  }
  std::optional<config::Device> device;
  if (affected.live) {
    co_await plug_controllers_for(given.live);
    device = std::move(given.live);
  }
  co_await plug(std::move(device), std::move(persistent));
}

Task<> Domain::detach_device(Caller caller, std::string xml, unsigned int flags) {
  GivenDevice given = parse_named(xml, config::DeviceUse::removal);
  Choice choice = [given = std::move(given)](const config::DomainDefinition& definition, bool is_live) {
    return config::find_device(definition, is_live ? given.live : given.persistent);
  };
  return remove_device(std::move(caller), std::move(choice), flags, true);
}

Task<> Domain::detach_device_by_alias(Caller caller, std::string alias, unsigned int flags) {
  Choice choice = [alias = std::move(alias)](const config::DomainDefinition& definition, bool) {
    return config::device_with_alias(definition, alias);
  };
  return remove_device(std::move(caller), std::move(choice), flags, false);
}

Task<> Domain::update_device(Caller caller, std::string xml, unsigned int flags) {
  GivenDevice given = parse_named(xml, config::DeviceUse::change);
  // What the device was told last, so that undoing undoes.
  auto told = std::make_shared<DefinitionPointer>();
  auto medium = std::make_shared<MediumChange>();
  medium->by_force = (flags & VIR_DOMAIN_DEVICE_MODIFY_FORCE) != 0;
  flags &= ~static_cast<unsigned int>(VIR_DOMAIN_DEVICE_MODIFY_FORCE);
  Apply apply = [this, told, medium, device = given.live](const config::DomainDefinition& live) {
    DefinitionPointer before = *told ? *told : live_;
    *told = std::make_shared<config::DomainDefinition>(live);
    return apply_update(device, live, std::move(before), medium);
  };
  Change change = [given = std::move(given), environment = environment_](config::DomainDefinition& definition,
                                                                         bool is_live) {
    if (is_live) {
      config::Device updated = config::live_update(definition, given.live);
      if (auto* disk = std::get_if<config::Disk>(&updated)) {
        find_volume(environment->settings.volumes, *disk);
        if (!disk->source_index) config::number_images(*disk, config::next_image_number(definition.devices));
      }
      return config::replace_device(definition, updated);
    }
    config::replace_device(definition, given.persistent);
    complete_changed(definition, environment->facts);
  };
  return modify(std::move(caller), "update device", flags, std::move(change), std::nullopt, std::move(apply));
}

}  // namespace warren::driver::domain
