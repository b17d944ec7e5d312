// Interrupts and doorbells over the host's KVM.
#include <sys/eventfd.h>

#include "vmm-core/bus/kvm_doorbells.h"
#include "vmm-core/bus/kvm_interrupts.h"
#include "vmm-core/kvm/tiny_guest.h"
#include "vmm-core/os/error.h"

namespace warren::vmm {
namespace {

using DoorbellTest = kvm::KvmTest;
using WiringTest = kvm::ControllerTest;

TEST_F(DoorbellTest, DoorbellsSignalInsteadOfLeavingTheGuest) {
  FileDescriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  KvmDoorbells doorbells(*vm_);
  // mov ax,0x2000; mov ds,ax; mov word [0x10],3; mov word [0x10],4; hlt
  load({0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xc7, 0x06, 0x10, 0x00, 0x03, 0x00, 0xc7, 0x06, 0x10, 0x00, 0x04, 0x00,
        0xf4});
  auto doorbell = doorbells.add_mmio(GuestAddress{0x20010}, 2, 3, event.get());
  EXPECT_THROW((void)doorbells.add_mmio(GuestAddress{0x20010}, 2, 3, event.get()), Error);
  EXPECT_EQ(run<kvm::MmioAccess>().data[0], std::byte{4}) << "another value is no doorbell";
  std::uint64_t count = 0;
  ASSERT_EQ(::read(event.get(), &count, sizeof count), 8);
  EXPECT_EQ(count, 1U);
  doorbell.reset();
  kvm_regs registers = vcpu_->registers();
  run<kvm::Halted>();
  registers.rip = kvm::kCode;
  vcpu_->set_registers(registers);
  EXPECT_EQ(run<kvm::MmioAccess>().data[0], std::byte{3}) << "taken back";
}

TEST_F(WiringTest, WiresOfOneLineAreOred) {
  KvmInterruptLines lines(*vm_);
  KvmMessageRouter router(*vm_);  // the routes of the lines
  auto first = lines.make_line(5);
  auto second = lines.make_line(5);
  EXPECT_THROW((void)lines.make_line(24), Error);
  auto chip = [&] { return vm_->interrupt_controllers().chips[KVM_IRQCHIP_IOAPIC].chip.ioapic.irr; };
  first->set(true);
  second->set(true);
  first->set(false);
  EXPECT_EQ(chip() & 0x20, 0x20U) << "the other wire still holds it";
  second.reset();
  EXPECT_EQ(chip() & 0x20, 0U) << "a wire that is gone asserts nothing";
}

TEST_F(WiringTest, TheTimersPinIsWhereTheMadtSays) {
  KvmInterruptLines lines(*vm_);
  KvmMessageRouter router(*vm_);
  auto timer = lines.make_line(0);
  timer->set(true);
  const auto state = vm_->interrupt_controllers();
  EXPECT_EQ(state.chips[KVM_IRQCHIP_IOAPIC].chip.ioapic.irr & 5, 4U);
}

TEST_F(WiringTest, MessagesGetAnIrqfdWhenSomebodyElseIsToSignal) {
  vcpu_.emplace(*system_, *vm_, 0);
  KvmMessageRouter router(*vm_);
  auto route = router.allocate();
  EXPECT_TRUE(route->set_message({0xfee00000, 0x41}));
  const int descriptor = route->event_descriptor();
  EXPECT_GE(descriptor, 0);
  EXPECT_EQ(route->event_descriptor(), descriptor);
  EXPECT_TRUE(route->set_message({0xfee00000, 0x42}));
  route->signal();
  auto other = router.allocate();
  EXPECT_NE(other->event_descriptor(), descriptor);
  InspectNode node;
  router.inspect(node);
  EXPECT_EQ(std::get<std::uint64_t>(node.values()[0].second), 2U);
  route.reset();
}

}  // namespace
}  // namespace warren::vmm
