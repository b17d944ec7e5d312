#include "vmm-core/machine/machine_check.h"

namespace warren::vmm::machine {
namespace {

// IA32_MCi_STATUS.
constexpr std::uint64_t kValid = std::uint64_t{1} << 63, kUncorrected = std::uint64_t{1} << 61,
                        kEnabled = std::uint64_t{1} << 60, kMiscValid = std::uint64_t{1} << 59,
                        kAddressValid = std::uint64_t{1} << 58;
constexpr std::uint64_t kSignaling = std::uint64_t{1} << 56,
                        kActionRequired = std::uint64_t{1} << 55;                              // Intel
constexpr std::uint64_t kDeferred = std::uint64_t{1} << 44, kPoison = std::uint64_t{1} << 43;  // AMD
// SDM 3B §15.9.3: a data load, and a memory scrub.
constexpr std::uint64_t kDataLoad = 0x134, kMemoryScrub = 0xc0;

// IA32_MCG_STATUS.
constexpr std::uint64_t kRestartValid = 1 << 0, kInstructionValid = 1 << 1, kInProgress = 1 << 2;

// IA32_MCi_MISC: a physical address, good to a page.
constexpr std::uint64_t kPhysicalPage = 2 << 6 | 12;

constexpr std::uint8_t kBank = 9, kBroadcastBank = 1;

}  // namespace

kvm_x86_mce make_machine_check(MachineCheckKind kind, GuestAddress address, bool action_required) noexcept {
  kvm_x86_mce check{};
  check.bank = kBank;
  check.addr = address.value;
  check.misc = kPhysicalPage;
  check.status = kValid | kEnabled | kMiscValid | kAddressValid;
  check.mcg_status = kInProgress | kRestartValid | (action_required ? kInstructionValid : 0);
  if (kind == MachineCheckKind::intel) {
    check.status |=
        kUncorrected | kSignaling | (action_required ? kActionRequired | kDataLoad : kMemoryScrub);
  } else {
    check.status |= kPoison | (action_required ? kUncorrected : kDeferred);
  }
  return check;
}

kvm_x86_mce make_machine_check_broadcast() noexcept {
  kvm_x86_mce check{};
  check.bank = kBroadcastBank;
  check.status = kValid | kUncorrected;
  check.mcg_status = kInProgress | kRestartValid;
  return check;
}

}  // namespace warren::vmm::machine
