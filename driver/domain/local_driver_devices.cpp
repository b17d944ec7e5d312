// Devices that come, go and change.
#include "driver/domain/local_driver.h"

namespace warren::driver::domain {

namespace {
constexpr unsigned int kAffect = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;
}

void LocalDriver::attach_device(const Caller& caller, const Uuid& uuid, std::string xml, unsigned int flags,
                                Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kAffect, "virDomainAttachDeviceFlags");
    return domain.attach_device(caller, std::move(xml), flags);
  });
}

void LocalDriver::detach_device(const Caller& caller, const Uuid& uuid, std::string xml, unsigned int flags,
                                Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kAffect, "virDomainDetachDeviceFlags");
    return domain.detach_device(caller, std::move(xml), flags);
  });
}

void LocalDriver::detach_device_alias(const Caller& caller, const Uuid& uuid, std::string alias,
                                      unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kAffect, "virDomainDetachDeviceAlias");
    return domain.detach_device_by_alias(caller, std::move(alias), flags);
  });
}

void LocalDriver::update_device(const Caller& caller, const Uuid& uuid, std::string xml, unsigned int flags,
                                Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kAffect | VIR_DOMAIN_DEVICE_MODIFY_FORCE, "virDomainUpdateDeviceFlags");
    return domain.update_device(caller, std::move(xml), flags);
  });
}

void LocalDriver::associate_descriptors(const Caller& caller, const Uuid& uuid, const std::string& name,
                                        std::vector<vmm::FileDescriptor> descriptors, unsigned int flags) {
  check_flags(flags, VIR_DOMAIN_FD_ASSOCIATE_SECLABEL_RESTORE | VIR_DOMAIN_FD_ASSOCIATE_SECLABEL_WRITABLE,
              "virDomainFDAssociate");
  auto domain = find(uuid);
  if (descriptors.empty()) return;
  domain->descriptor_groups().associate(name, caller.connection_id, std::move(descriptors));
}

}  // namespace warren::driver::domain
