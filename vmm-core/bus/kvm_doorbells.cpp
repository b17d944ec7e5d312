#include "vmm-core/bus/kvm_doorbells.h"

namespace warren::vmm {
namespace {

class IoEvent final : public Doorbell {
 public:
  IoEvent(kvm::VirtualMachine& vm, GuestAddress address, std::uint32_t size,
          std::optional<std::uint64_t> match, int event_descriptor)
      : vm_(vm), address_(address), size_(size), match_(match), event_descriptor_(event_descriptor) {
    vm_.add_ioeventfd(address_, size_, match_, event_descriptor_);
  }
  ~IoEvent() override { vm_.remove_ioeventfd(address_, size_, match_, event_descriptor_); }

 private:
  kvm::VirtualMachine& vm_;
  const GuestAddress address_;
  const std::uint32_t size_;
  const std::optional<std::uint64_t> match_;
  const int event_descriptor_;
};

}  // namespace

std::unique_ptr<Doorbell> KvmDoorbells::add_mmio(GuestAddress address, std::uint32_t size,
                                                 std::optional<std::uint64_t> match, int event_descriptor) {
  return std::make_unique<IoEvent>(vm_, address, size, match, event_descriptor);
}

}  // namespace warren::vmm
