// Interrupts of virtio devices: MSI-X delivery, masking, pending bits (PCI 3.0 §6.8.2), INTx and ISR
// (virtio 1.2 §4.1.4.5).
#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/runtime/test.h"
#include "tests/guest/virtio/block_driver.h"

namespace guest {
namespace {

// Starts a read without waiting for it.
void submit_read(BlockDriver& disk) {
  auto* header = allocate_array<block::Header>(1, 16);
  auto* data = allocate_array<std::uint8_t>(512, 512);
  auto* status = allocate_array<std::uint8_t>(1);
  *header = {block::kIn, 0, 0};
  Segment chain[] = {readable(header), writable(data, 512), writable(status)};
  disk.queue().add(chain);
  disk.queue().request_interrupts(true);
  disk.device().notify(0, disk.queue());
}

bool came(std::uint8_t vector, std::uint32_t count) {
  return wait_until([=] { return interrupt_count(vector) >= count; }, 500);
}

}  // namespace

#define DISK_WITH_MSIX_OR_SKIP(disk)                \
  BlockDriver disk(0, 32, 1);                       \
  if (!disk.device()) SKIP("no virtio-blk device"); \
  if (!disk.device().has_msix()) SKIP("no MSI-X");  \
  REQUIRE(disk.ready());                            \
  REQUIRE(disk.device().msix_entries() >= 2);       \
  std::uint8_t vector = allocate_vector();          \
  disk.device().set_msix_entry(1, vector)

TEST(msix, delivery) {
  DISK_WITH_MSIX_OR_SKIP(disk);
  for (std::uint32_t i = 1; i <= 10; ++i) {
    submit_read(disk);
    REQUIRE(came(vector, i));
    REQUIRE(disk.queue().take_used().has_value());
  }
  EXPECT_EQUAL(interrupt_count(vector), 10u);
}

TEST(msix, entry_mask_holds_pending) {
  DISK_WITH_MSIX_OR_SKIP(disk);
  disk.device().set_msix_entry(1, vector, true);
  submit_read(disk);
  REQUIRE(wait_used(disk.queue()).has_value());
  wait_milliseconds(5);
  EXPECT_EQUAL(interrupt_count(vector), 0u);
  EXPECT(disk.device().msix_pending(1));
  write32(disk.device().msix_table() + 16 + 12, 0);
  EXPECT(came(vector, 1));
  EXPECT(!disk.device().msix_pending(1));
}

TEST(msix, function_mask_holds_pending) {
  DISK_WITH_MSIX_OR_SKIP(disk);
  disk.device().set_function_mask(true);
  submit_read(disk);
  REQUIRE(wait_used(disk.queue()).has_value());
  wait_milliseconds(5);
  EXPECT_EQUAL(interrupt_count(vector), 0u);
  EXPECT(disk.device().msix_pending(1));
  disk.device().set_function_mask(false);
  EXPECT(came(vector, 1));
  EXPECT(!disk.device().msix_pending(1));
}

TEST(msix, entry_moves_to_another_vector) {
  DISK_WITH_MSIX_OR_SKIP(disk);
  submit_read(disk);
  REQUIRE(came(vector, 1));
  disk.queue().take_used();
  std::uint8_t other = allocate_vector();
  disk.device().set_msix_entry(1, other);
  submit_read(disk);
  EXPECT(came(other, 1));
  EXPECT_EQUAL(interrupt_count(vector), 1u);
}

TEST(msix, table_is_masked_after_reset_of_the_table) {
  DISK_WITH_MSIX_OR_SKIP(disk);
  for (std::uint16_t i = 0; i < disk.device().msix_entries(); ++i) {
    std::uint64_t entry = disk.device().msix_table() + i * 16u;
    write32(entry, 0xfee01234);
    EXPECT_EQUAL(read32(entry) & ~0xfu, 0xfee01230u);
    write32(entry + 12, 0xffffffff);
    EXPECT_EQUAL(read32(entry + 12) & 1, 1u);
  }
}

// T5: a message that goes nowhere sensible, and pending bits that cannot be written.
TEST(msix, nonsense) {
  DISK_WITH_MSIX_OR_SKIP(disk);
  std::uint64_t entry = disk.device().msix_table() + 16;
  for (std::uint64_t address :
       {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{0x1000}, std::uint64_t{0xfee00004}}) {
    write32(entry + 12, 1);
    write32(entry, static_cast<std::uint32_t>(address));
    write32(entry + 4, static_cast<std::uint32_t>(address >> 32));
    write32(entry + 8, 0xffffffff);
    write32(entry + 12, 0);
    submit_read(disk);
    REQUIRE(wait_used(disk.queue()).has_value());
  }
  write64(disk.device().msix_pending_bits(), ~std::uint64_t{0});
  EXPECT_EQUAL(read32(disk.device().msix_pending_bits()), 0u);
  disk.device().set_msix_entry(1, vector);
  std::uint32_t before = interrupt_count(vector);
  submit_read(disk);
  EXPECT(came(vector, before + 1));
}

TEST(msix, no_interrupt_when_not_wanted) {
  DISK_WITH_MSIX_OR_SKIP(disk);
  auto* header = allocate_array<block::Header>(1, 16);
  auto* data = allocate_array<std::uint8_t>(512, 512);
  auto* status = allocate_array<std::uint8_t>(1);
  Segment chain[] = {readable(header), writable(data, 512), writable(status)};
  disk.queue().request_interrupts(false);
  disk.queue().add(chain);
  disk.device().notify(0, disk.queue());
  REQUIRE(wait_used(disk.queue()).has_value());
  wait_milliseconds(5);
  EXPECT_EQUAL(interrupt_count(vector), 0u);
}

TEST(intx, interrupt_status_register) {
  BlockDriver disk(0, 32);
  if (!disk.device()) SKIP("no virtio-blk device");
  REQUIRE(disk.ready());
  disk.device().function().write16(
      4, static_cast<std::uint16_t>(disk.device().function().read16(4) & ~(1 << 10)));
  read8(disk.device().isr());
  submit_read(disk);
  REQUIRE(wait_used(disk.queue()).has_value());
  EXPECT(wait_until([&] { return (disk.device().function().read16(6) & 1 << 3) != 0; },
                    200));  // interrupt status
  EXPECT_EQUAL(unsigned{read8(disk.device().isr())}, 1u);
  EXPECT_EQUAL(unsigned{read8(disk.device().isr())}, 0u);  // reading clears and takes the line back
  EXPECT_EQUAL(disk.device().function().read16(6) & 1 << 3, 0);
}

}  // namespace guest
