#include "vmm-core/kvm/system.h"

#include <cstring>
#include <new>

#include <fcntl.h>

#include "vmm-core/kvm/ioctl.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::kvm {

System::System(FileDescriptor device) : device_(std::move(device)) {
  const int version = WARREN_KVM_IOCTL(device_.get(), KVM_GET_API_VERSION, 0);
  if (version != KVM_API_VERSION) {
    throw Error(std::errc::not_supported, "KVM: API version " + std::to_string(version) + " instead of 12");
  }
  vcpu_mapping_size_ = static_cast<std::size_t>(WARREN_KVM_IOCTL(device_.get(), KVM_GET_VCPU_MMAP_SIZE, 0));
}

System System::open() {
  FileDescriptor device(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!device) throw_errno("open /dev/kvm");
  return System(std::move(device));
}

int System::check_extension(unsigned long capability) const {
  return WARREN_KVM_IOCTL(device_.get(), KVM_CHECK_EXTENSION, capability);
}

void System::require(unsigned long capability, const char* name) const {
  if (check_extension(capability) <= 0) {
    throw Error(std::errc::not_supported, std::string("KVM: the host lacks ") + name);
  }
}

std::vector<kvm_cpuid_entry2> System::cpuid_of(unsigned long request, const char* name) const {
  // KVM says E2BIG until there is room; 80 leaves are what hosts have today.
  for (std::uint32_t room = 128; room <= 4096; room *= 2) {
    std::vector<std::byte> buffer(sizeof(kvm_cpuid2) + room * sizeof(kvm_cpuid_entry2));
    auto* cpuid = new (buffer.data()) kvm_cpuid2{};  // a header and, behind it, `room` entries
    cpuid->nent = room;
    if (try_ioctl(device_.get(), request, cpuid) == 0) {
      std::vector<kvm_cpuid_entry2> entries(cpuid->nent);
      std::memcpy(entries.data(), buffer.data() + sizeof(kvm_cpuid2),
                  entries.size() * sizeof(kvm_cpuid_entry2));
      return entries;
    }
    if (errno != E2BIG) break;
  }
  throw_errno(name);
}

std::vector<kvm_cpuid_entry2> System::supported_cpuid() const {
  return cpuid_of(KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID");
}

std::vector<kvm_cpuid_entry2> System::supported_hyperv_cpuid() const {
  if (check_extension(KVM_CAP_SYS_HYPERV_CPUID) <= 0) return {};
  return cpuid_of(KVM_GET_SUPPORTED_HV_CPUID, "KVM_GET_SUPPORTED_HV_CPUID");
}

std::uint64_t System::machine_check_capabilities() const noexcept {
  std::uint64_t capabilities = 0;
  return try_ioctl(device_.get(), KVM_X86_GET_MCE_CAP_SUPPORTED, &capabilities) == 0 ? capabilities : 0;
}

std::vector<std::uint32_t> System::msr_indices() const {
  std::uint32_t room = 0;
  for (;;) {
    std::vector<std::byte> buffer(sizeof(kvm_msr_list) + room * sizeof(std::uint32_t));
    auto* list = new (buffer.data()) kvm_msr_list{};  // a count and, behind it, `room` indices
    list->nmsrs = room;
    if (try_ioctl(device_.get(), KVM_GET_MSR_INDEX_LIST, list) == 0) {
      std::vector<std::uint32_t> indices(list->nmsrs);
      std::memcpy(indices.data(), buffer.data() + sizeof(kvm_msr_list),
                  indices.size() * sizeof(std::uint32_t));
      return indices;
    }
    if (errno != E2BIG || list->nmsrs <= room) throw_errno("KVM_GET_MSR_INDEX_LIST");
    room = list->nmsrs;
  }
}

}  // namespace warren::vmm::kvm
