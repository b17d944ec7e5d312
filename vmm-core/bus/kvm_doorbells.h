// Doorbells over KVM_IOEVENTFD (api.rst §4.59).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "vmm-core/bus/doorbell.h"
#include "vmm-core/kvm/virtual_machine.h"

namespace warren::vmm {

// Outlives its doorbells.
class KvmDoorbells final : public DoorbellRegistrar {
 public:
  explicit KvmDoorbells(kvm::VirtualMachine& vm) : vm_(vm) {}

  std::unique_ptr<Doorbell> add_mmio(GuestAddress address, std::uint32_t size,
                                     std::optional<std::uint64_t> match, int event_descriptor) override;

 private:
  kvm::VirtualMachine& vm_;
};

}  // namespace warren::vmm
