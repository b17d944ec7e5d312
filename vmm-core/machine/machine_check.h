// The machine checks by which a guest learns that memory of its own has failed (SDM 3B §15.3.2, §15.9.3;
// AMD64 APM 2 §9.3.2), in the form that KVM_X86_SET_MCE takes (api.rst §4.107).
#pragma once

#include <cstdint>

#include "vmm-core/memory/guest_address.h"
#include "vmm-core/os/kvm_interface.h"

namespace warren::vmm::machine {

enum class MachineCheckKind {
  intel,  // told to every vCPU
  amd,
};

// As many as the guest's vCPUs have; the error is told in one of them.
inline constexpr std::uint32_t kMachineCheckBanks = 10;

// For the vCPU that met it, or vCPU 0 when nobody has.
kvm_x86_mce make_machine_check(MachineCheckKind kind, GuestAddress address, bool action_required) noexcept;
// For all the others, where they are told: nothing but that there is one.
kvm_x86_mce make_machine_check_broadcast() noexcept;

}  // namespace warren::vmm::machine
