#include "vmm-core/machine/machine_check.h"

#include <gtest/gtest.h>

namespace warren::vmm::machine {
namespace {

constexpr GuestAddress kPlace{0x12345000};

TEST(MachineCheck, OfIntelsProcessors) {
  const auto used = make_machine_check(MachineCheckKind::intel, kPlace, true);
  EXPECT_EQ(used.bank, 9);
  EXPECT_EQ(used.addr, kPlace.value);
  EXPECT_EQ(used.misc, 0x8cu);
  // VAL, UC, EN, MISCV, ADDRV, S, AR; a data load.
  EXPECT_EQ(used.status, 0xbd80000000000134u);
  EXPECT_EQ(used.mcg_status, 7u) << "RIPV, EIPV, MCIP";
  const auto unused = make_machine_check(MachineCheckKind::intel, kPlace, false);
  EXPECT_EQ(unused.status, 0xbd000000000000c0u) << "action optional: found by scrubbing";
  EXPECT_EQ(unused.mcg_status, 5u);
  EXPECT_EQ(make_machine_check_broadcast().status, 0xa000000000000000u);
}

TEST(MachineCheck, OfAmdsProcessors) {
  const auto used = make_machine_check(MachineCheckKind::amd, kPlace, true);
  EXPECT_EQ(used.status, 0xbc00080000000000u) << "VAL, UC, EN, MISCV, ADDRV, Poison";
  EXPECT_EQ(used.mcg_status, 7u);
  const auto unused = make_machine_check(MachineCheckKind::amd, kPlace, false);
  EXPECT_EQ(unused.status, 0x9c00180000000000u) << "deferred, and so no exception";
}

}  // namespace
}  // namespace warren::vmm::machine
