// A guest of a few bytes of real-mode code, for tests against the host's KVM. Skipped, with the reason, where
// there is no /dev/kvm.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <variant>

#include <gtest/gtest.h>
#include <unistd.h>

#include "vmm-core/kvm/system.h"
#include "vmm-core/kvm/vcpu.h"
#include "vmm-core/kvm/virtual_machine.h"
#include "vmm-core/memory/guest_memory.h"

namespace warren::vmm::kvm {

inline constexpr std::uint64_t kCode = 0x1000;
inline constexpr std::uint64_t kMemory = 0x10000;

class KvmTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/kvm", R_OK | W_OK) != 0) GTEST_SKIP() << "/dev/kvm cannot be opened here";
    system_.emplace(System::open());
    memory_.emplace(std::array<GuestMemory::Layout, 1>{{{GuestAddress{0}, kMemory}}});
    vm_.emplace(*system_);
    vm_->map_memory(*memory_);
  }

  // A vCPU about to run `code` in real mode.
  void load(std::initializer_list<std::uint8_t> code) {
    ASSERT_TRUE(memory_->write(GuestAddress{kCode}, std::as_bytes(std::span(code.begin(), code.size()))));
    vcpu_.emplace(*system_, *vm_, 0);
    kvm_sregs special = vcpu_->special_registers();
    special.cs.base = 0;
    special.cs.selector = 0;
    vcpu_->set_special_registers(special);
    kvm_regs registers{};
    registers.rip = kCode;
    registers.rflags = 2;
    registers.rsp = 0x8000;
    vcpu_->set_registers(registers);
  }

  template <typename Expected>
  Expected run() {
    const Exit exit = vcpu_->run();
    EXPECT_TRUE(std::holds_alternative<Expected>(exit)) << "exit " << exit.index();
    return std::holds_alternative<Expected>(exit) ? std::get<Expected>(exit) : Expected{};
  }

  std::optional<System> system_;
  std::optional<GuestMemory> memory_;
  std::optional<VirtualMachine> vm_;
  std::optional<Vcpu> vcpu_;
};

class ControllerTest : public KvmTest {
 protected:
  void SetUp() override {
    KvmTest::SetUp();
    if (IsSkipped()) return;
    vm_->create_interrupt_controllers(GuestAddress{0xfffbc000}, GuestAddress{0xfffbd000});
  }
};

}  // namespace warren::vmm::kvm
