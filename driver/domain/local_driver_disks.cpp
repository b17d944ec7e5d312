// Limits, sizes and thresholds of disks.
#include <limits>

#include <fmt/format.h>

#include "driver/domain/disk_parameters.h"
#include "driver/domain/local_driver.h"

namespace warren::driver::domain {

namespace {
constexpr unsigned int kAffect = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;
}

void LocalDriver::set_block_io_tune(const Caller& caller, const Uuid& uuid, std::string disk,
                                    TypedParameters parameters, unsigned int flags,
                                    Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, kAffect | VIR_TYPED_PARAM_STRING_OKAY, "virDomainSetBlockIoTune");
    return domain.set_io_tune(caller, std::move(disk), std::move(parameters), flags & kAffect);
  });
}

TypedParameters LocalDriver::block_io_tune(const Caller&, const Uuid& uuid, const std::string& disk,
                                           unsigned int flags) const {
  check_flags(flags, kAffect | VIR_TYPED_PARAM_STRING_OKAY, "virDomainGetBlockIoTune");
  TypedParameters list =
      io_tune_parameters(find_disk(definition_for(snapshot(uuid), flags & kAffect), disk).tune);
  if ((flags & VIR_TYPED_PARAM_STRING_OKAY) == 0)
    std::erase_if(list, [](const TypedParameter& each) { return each.type() == VIR_TYPED_PARAM_STRING; });
  return list;
}

void LocalDriver::block_resize(const Caller& caller, const Uuid& uuid, const std::string& disk,
                               std::uint64_t size, unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_BLOCK_RESIZE_BYTES, "virDomainBlockResize");
    if (disk.empty()) throw invalid_argument("the name of a disk must not be empty");
    if ((flags & VIR_DOMAIN_BLOCK_RESIZE_BYTES) == 0 && __builtin_mul_overflow(size, 1024U, &size)) {
      throw Error(VIR_ERR_OVERFLOW,
                  fmt::format("size must be less than {}", std::numeric_limits<std::uint64_t>::max() / 1024));
    }
    return domain.resize_disk(caller, disk, size);
  });
}

void LocalDriver::set_block_threshold(const Caller& caller, const Uuid& uuid, const std::string& device,
                                      std::uint64_t threshold, unsigned int flags,
                                      Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainSetBlockThreshold");
    return domain.set_disk_threshold(caller, device, threshold);
  });
}

}  // namespace warren::driver::domain
