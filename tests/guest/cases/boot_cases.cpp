// What the loader hands over: memory map, command line, initrd; memory itself; and what ring 3 can do.
#include "tests/guest/boot/boot_information.h"
#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/interrupts.h"
#include "tests/guest/machine/memory.h"
#include "tests/guest/machine/user_mode.h"
#include "tests/guest/runtime/test.h"

extern "C" char image_start[], bss_end[];

namespace guest {
namespace {

constexpr std::uint64_t kPageMask = ~std::uint64_t{0xfff};

void check_word(std::uint64_t address) {
  std::uint64_t saved = read64(address);
  write64(address, ~address);
  EXPECT_EQUAL(read64(address), ~address);
  write64(address, saved);
}

std::uint64_t sum_in_user_mode(std::uint64_t count) {
  std::uint64_t sum = 0;
  for (std::uint64_t i = 1; i <= count; ++i) {
    sum += i;
    compiler_fence();  // keeps it a loop
  }
  return sum;
}

}  // namespace

TEST(boot, memory_map) {
  auto ranges = boot_information.memory();
  REQUIRE(!ranges.empty());
  std::uint64_t ram = 0;
  bool holds_image = false;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto& range = ranges[i];
    EXPECT(range.size > 0);
    EXPECT(range.start + range.size > range.start);
    if (range.type == 1) ram += range.size;
    if (range.type == 1 && range.start <= physical(image_start) &&
        physical(bss_end) <= range.start + range.size)
      holds_image = true;
    for (std::size_t j = 0; j < i; ++j)
      EXPECT(range.start + range.size <= ranges[j].start || ranges[j].start + ranges[j].size <= range.start);
  }
  EXPECT(holds_image);
  // Up to 1 MiB may go to firmware and tables.
  if (auto megabytes = command_line_number("memory_mib", 0))
    EXPECT(ram <= megabytes << 20 && ram + (1 << 20) >= megabytes << 20);
}

// The first and last word of every range of RAM hold what is written, above 4 GiB too.
TEST(boot, memory_is_there) {
  for (const auto& range : boot_information.memory()) {
    if (range.type != 1 || range.size < 0x10000) continue;
    std::uint64_t first = range.start < 0x100000 ? 0x9000 : range.start, last = range.start + range.size - 8;
    if (last >= 0x100000000) map_identity(range.start, range.size);
    if (range.start >= 0x100000000) check_word(first);
    if (last > 0x200000) check_word(last & ~std::uint64_t{7});
    check_word((first + last) / 2 & kPageMask);
  }
}

TEST(boot, memory_above_4_gib) {
  for (const auto& range : boot_information.memory()) {
    if (range.type != 1 || range.start < 0x100000000) continue;
    EXPECT_EQUAL(range.start, std::uint64_t{0x100000000});
    map_identity(range.start, range.size);
    for (std::uint64_t at = range.start; at < range.start + range.size; at += range.size / 16 & kPageMask)
      check_word(at);
    return;
  }
  SKIP("no memory above 4 GiB");
}

TEST(boot, command_line) {
  EXPECT(command_line_value("test").starts_with("boot") || command_line_value("test") == "*");
  if (auto marker = command_line_value("marker"); !marker.empty())
    EXPECT_EQUAL(command_line_number("marker_length", 0), std::uint64_t{marker.size()});
}

// The harness fills the initrd with bytes of (7 n + 3) mod 256.
TEST(boot, initrd) {
  if (boot_information.initrd_size == 0) SKIP("no initrd");
  if (auto size = command_line_number("initrd_bytes", 0)) EXPECT_EQUAL(boot_information.initrd_size, size);
  for (std::uint64_t i = 0; i < boot_information.initrd_size; i += i < 64 ? 1 : 509)
    REQUIRE_EQUAL(std::uint64_t{read8(boot_information.initrd + i)}, (7 * i + 3) & 0xff);
}

TEST(cpu, user_mode) {
  EXPECT_EQUAL(run_in_user_mode(sum_in_user_mode, 1000), std::uint64_t{500500});
  EXPECT_EQUAL(run_in_user_mode(sum_in_user_mode, 1000000), std::uint64_t{500000500000});
}

TEST(cpu, page_fault) {
  EXPECT(write_faults(0x7fffffff0000));
  EXPECT(!write_faults(physical(allocate(16))));
}

}  // namespace guest
