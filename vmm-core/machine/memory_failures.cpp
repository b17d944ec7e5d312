// Memory of the host that has failed, and was the guest's.
#include <algorithm>

#include "vmm-core/machine/cpuid.h"
#include "vmm-core/machine/machine.h"

namespace warren::vmm::machine {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint32_t kMsrGlobalStatus = 0x17a;  // IA32_MCG_STATUS
constexpr std::uint64_t kInProgress = 1 << 2;
constexpr std::uint64_t kCr4MachineChecks = 1 << 6;
// Of IA32_MCG_CAP: IA32_MCG_CTL is there; errors may be recovered from. Nothing else is offered.
constexpr std::uint64_t kControl = 1 << 8, kRecovery = 1 << 24;

}  // namespace

void Machine::set_up_machine_checks(kvm::Vcpu& vcpu, const std::vector<kvm_cpuid_entry2>& cpuid) {
  const auto vendor = std::ranges::find(cpuid, 0u, &kvm_cpuid_entry2::function);
  machine_check_kind_ =
      vendor != cpuid.end() && is_amd(vendor->ebx) ? MachineCheckKind::amd : MachineCheckKind::intel;
  const std::uint64_t offered = system_.machine_check_capabilities();
  // Without them a guest that is to be told is reset instead.
  if (offered != 0) (void)vcpu.set_up_machine_checks((offered & (kControl | kRecovery)) | kMachineCheckBanks);
}

Machine::MemoryFailure Machine::tell_memory_failure(std::uintptr_t host_address,
                                                    std::optional<std::size_t> vcpu) {
  const auto address = memory_.address_of(host_address);
  if (!address) return MemoryFailure::not_of_the_guest;
  failed_pages_.push_back({address->value / kPage * kPage});
  MemoryFailure outcome = MemoryFailure::not_taken;
  // A vCPU that met it has stopped all of them by itself.
  if (vcpu) ended_.store(false);
  const bool resumes = running_;
  if (resumes) vcpus_->pause();
  try {
    outcome = check_machine(*address, vcpu);
  } catch (...) {
    if (resumes && !ended_.load()) vcpus_->resume();
    throw;
  }
  // What nobody was about to use stops nobody.
  if (resumes && !ended_.load() && (outcome == MemoryFailure::told || !vcpu)) vcpus_->resume();
  return outcome;
}

Machine::MemoryFailure Machine::check_machine(GuestAddress address, std::optional<std::size_t> vcpu) {
  const std::size_t first = vcpu.value_or(0);
  if (!vcpus_->is_present(first)) return MemoryFailure::not_taken;
  kvm::Vcpu& receiver = vcpus_->vcpu(first);
  const auto status = receiver.msr(kMsrGlobalStatus);
  if (!status || (receiver.special_registers().cr4 & kCr4MachineChecks) == 0) return MemoryFailure::not_taken;
  const bool waits = machine_check_kind_ == MachineCheckKind::intel || vcpu.has_value();
  // What is not urgent and is only noted down does not meet what is being dealt with.
  if (waits && (*status & kInProgress) != 0) return MemoryFailure::recursive;
  if (!receiver.inject_machine_check(make_machine_check(machine_check_kind_, address, vcpu.has_value())))
    return MemoryFailure::not_taken;
  if (machine_check_kind_ == MachineCheckKind::amd) return MemoryFailure::told;
  for (const std::uint32_t other : present_vcpus())
    if (other != first) (void)vcpus_->vcpu(other).inject_machine_check(make_machine_check_broadcast());
  return MemoryFailure::told;
}

}  // namespace warren::vmm::machine
