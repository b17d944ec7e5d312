// /dev/kvm itself: what the host's KVM can do (Linux Documentation/virt/kvm/api.rst; sections are named at
// each call). Every failure throws vmm::Error naming the ioctl. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/os/kvm_interface.h"

namespace warren::vmm::kvm {

class System {
 public:
  // Takes an open /dev/kvm, or opens it. Throws when its API version is not 12.
  explicit System(FileDescriptor device);
  static System open();

  int descriptor() const noexcept { return device_.get(); }

  // §4.4: 0 when the extension is missing, else what it means for that extension.
  int check_extension(unsigned long capability) const;
  // Throws when an extension that the VMM cannot do without is missing, naming it.
  void require(unsigned long capability, const char* name) const;

  // §4.5: bytes of a vCPU's shared page and what follows it.
  std::size_t vcpu_mapping_size() const noexcept { return vcpu_mapping_size_; }
  // §4.46.
  std::vector<kvm_cpuid_entry2> supported_cpuid() const;
  // §4.118: Hyper-V's leaves; empty where KVM does not have that interface.
  std::vector<kvm_cpuid_entry2> supported_hyperv_cpuid() const;
  // §4.105: IA32_MCG_CAP as far as vCPUs can have it; 0 where they cannot take machine checks.
  std::uint64_t machine_check_capabilities() const noexcept;
  // §4.3: the MSRs that make up a vCPU's state.
  std::vector<std::uint32_t> msr_indices() const;

 private:
  std::vector<kvm_cpuid_entry2> cpuid_of(unsigned long request, const char* name) const;
  FileDescriptor device_;
  std::size_t vcpu_mapping_size_ = 0;
};

}  // namespace warren::vmm::kvm
