// The KVM interface against the host's KVM, with a few bytes of real-mode code as guest. Skipped, with the
// reason, where there is no /dev/kvm.
#include <string>

#include <gtest/gtest.h>

#include "vmm-core/kvm/tiny_guest.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::kvm {
namespace {

TEST_F(KvmTest, PortsAreSeenBothWays) {
  // mov dx,0x3f8; mov al,'A'; out dx,al; in ax,dx; mov [0x2000],ax; hlt
  load({0xba, 0xf8, 0x03, 0xb0, 'A', 0xee, 0xed, 0xa3, 0x00, 0x20, 0xf4});
  const auto write = run<PortAccess>();
  EXPECT_EQ(write.port, 0x3f8);
  EXPECT_TRUE(write.is_write);
  ASSERT_EQ(write.data.size(), 1U);
  EXPECT_EQ(write.data[0], std::byte{'A'});
  const auto read = run<PortAccess>();
  EXPECT_FALSE(read.is_write);
  ASSERT_EQ(read.data.size(), 2U);
  read.data[0] = std::byte{0x34};
  read.data[1] = std::byte{0x12};
  run<Halted>();
  EXPECT_EQ(memory_->read_object<std::uint16_t>(GuestAddress{0x2000}), 0x1234);
}

TEST_F(KvmTest, StringInstructionsComeInBatches) {
  ASSERT_TRUE(memory_->write(GuestAddress{0x2000}, std::as_bytes(std::span("abcd", 4))));
  // mov si,0x2000; mov dx,0x10; mov cx,4; cld; rep outsb; hlt
  load({0xbe, 0x00, 0x20, 0xba, 0x10, 0x00, 0xb9, 0x04, 0x00, 0xfc, 0xf3, 0x6e, 0xf4});
  std::string seen;
  for (Exit exit = vcpu_->run(); !std::holds_alternative<Halted>(exit); exit = vcpu_->run()) {
    ASSERT_TRUE(std::holds_alternative<PortAccess>(exit)) << "exit " << exit.index();
    const auto& access = std::get<PortAccess>(exit);
    EXPECT_EQ(access.size, 1U);
    for (const std::byte byte : access.data) seen += static_cast<char>(byte);
    ASSERT_LE(seen.size(), 4U);
  }
  EXPECT_EQ(seen, "abcd");
}

TEST_F(KvmTest, MemoryThatIsNoRamIsSeenBothWays) {
  // mov ax,0x2000; mov ds,ax; mov byte [0x10],0x5a; mov al,[0x11]; mov ds,cx…; out 0x10,al; hlt
  load({0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xc6, 0x06, 0x10, 0x00, 0x5a, 0xa0, 0x11, 0x00, 0xe6, 0x10, 0xf4});
  const auto write = run<MmioAccess>();
  EXPECT_EQ(write.address, GuestAddress{0x20010});
  EXPECT_TRUE(write.is_write);
  ASSERT_EQ(write.data.size(), 1U);
  EXPECT_EQ(write.data[0], std::byte{0x5a});
  const auto read = run<MmioAccess>();
  EXPECT_EQ(read.address, GuestAddress{0x20011});
  read.data[0] = std::byte{0x77};
  const auto port = run<PortAccess>();
  EXPECT_EQ(port.data[0], std::byte{0x77});
}

// T30.
TEST_F(KvmTest, T30TripleFaultsAreSeen) {
  load({0x0f, 0x0b});  // ud2
  kvm_sregs special = vcpu_->special_registers();
  special.cr0 |= 1;  // protected mode, 32-bit flat segments, no exception vector at all
  special.cs = {.limit = 0xffff'ffff, .selector = 8, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1};
  special.ss = {.limit = 0xffff'ffff, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
  special.idt.limit = 0;
  vcpu_->set_special_registers(special);
  run<TripleFault>();
  EXPECT_EQ(vcpu_->describe().rfind("rip=0x", 0), 0U) << vcpu_->describe();
}

TEST_F(KvmTest, ARunEndsWhenAskedTo) {
  load({0xeb, 0xfe});  // jmp $
  vcpu_->request_exit();
  run<Interrupted>();
}

TEST_F(ControllerTest, StateComesBack) {
  // out 0x10,al; inc al; out 0x10,al; jmp $
  load({0xe6, 0x10, 0xfe, 0xc0, 0xe6, 0x10, 0xeb, 0xfe});
  const auto msrs = system_->msr_indices();
  EXPECT_FALSE(msrs.empty());
  const VcpuState start = vcpu_->save(msrs);
  EXPECT_EQ(run<PortAccess>().data[0], std::byte{0});
  EXPECT_EQ(run<PortAccess>().data[0], std::byte{1});
  vcpu_->complete_access();
  EXPECT_EQ(vcpu_->registers().rip, kCode + 6);
  vcpu_->restore(start);
  EXPECT_EQ(vcpu_->registers().rip, kCode);
  EXPECT_EQ(run<PortAccess>().data[0], std::byte{0});
}

TEST_F(ControllerTest, TheClockStandsWhereItIsSet) {
  vcpu_.emplace(*system_, *vm_, 0);
  vm_->set_clock(5'000'000'000'000);
  const std::uint64_t now = vm_->clock();
  EXPECT_GE(now, 5'000'000'000'000U);
  EXPECT_LT(now, 5'010'000'000'000U);
}

TEST_F(KvmTest, ErrorsNameTheRequest) {
  try {
    vm_->set_interrupt_controllers({});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).rfind("KVM_SET_IRQCHIP: ", 0), 0U) << error.what();
  }
}

}  // namespace
}  // namespace warren::vmm::kvm
