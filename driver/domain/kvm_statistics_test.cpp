#include "driver/domain/kvm_statistics.h"

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>
#include <linux/kvm.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {
namespace {

constexpr std::uint32_t kNameSize = 16;
constexpr std::size_t kFieldSize = 16;  // of a descriptor without its name (api.rst §4.133)

struct Line {
  const char* name;
  std::uint32_t flags;
  std::uint16_t size;
  std::uint32_t offset;
};

// A file as the kernel makes one.
vmm::FileDescriptor file_of(const std::vector<Line>& lines, const std::vector<std::uint64_t>& values,
                            std::uint32_t claimed) {
  std::string text;
  const auto add = [&text](const void* data, std::size_t size) {
    text.append(static_cast<const char*>(data), size);
  };
  const auto data_at =
      static_cast<std::uint32_t>(sizeof(kvm_stats_header) + lines.size() * (kFieldSize + kNameSize));
  const kvm_stats_header header{.flags = 0,
                                .name_size = kNameSize,
                                .num_desc = claimed,
                                .id_offset = 0,
                                .desc_offset = sizeof(kvm_stats_header),
                                .data_offset = data_at};
  add(&header, sizeof(header));
  for (const Line& line : lines) {
    const std::uint16_t exponent = 0;
    const std::uint32_t bucket_size = 0;
    add(&line.flags, 4), add(&exponent, 2), add(&line.size, 2), add(&line.offset, 4), add(&bucket_size, 4);
    char name[kNameSize] = {};
    std::memcpy(name, line.name, std::min<std::size_t>(std::strlen(line.name), kNameSize));
    add(name, kNameSize);
  }
  add(values.data(), values.size() * 8);
  vmm::FileDescriptor file(::memfd_create("statistics", MFD_CLOEXEC));
  EXPECT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return file;
}

TEST(KvmStatisticsTest, ReadsScalarsAndLeavesHistogramsOut) {
  const KvmStatistics statistics(
      file_of({{"exits", KVM_STATS_TYPE_CUMULATIVE, 1, 0},
               {"histogram", KVM_STATS_TYPE_LOG_HIST, 2, 8},
               {"blocking", KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_BOOLEAN, 1, 24},
               {"sixteen_letters_", KVM_STATS_TYPE_PEAK, 1, 32}},
              {7, 1, 2, 1, 9}, 4));
  const auto values = statistics.read();
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values[0].name, "exits");
  EXPECT_EQ(values[0].value, 7u);
  EXPECT_TRUE(values[1].is_boolean);
  EXPECT_EQ(values[1].value, 1u);
  EXPECT_EQ(values[2].name, "sixteen_letters_") << "a name that fills its field has no end";
  EXPECT_EQ(values[2].kind, KvmStatistics::Kind::maximum);
}

// T15: the file is a worker's, which may lie.
TEST(KvmStatisticsTest, T15WhatIsNoSuchFileIsRefused) {
  EXPECT_THROW(KvmStatistics{vmm::FileDescriptor()}, Error);
  EXPECT_THROW(KvmStatistics(vmm::FileDescriptor(::memfd_create("empty", MFD_CLOEXEC))), Error);
  EXPECT_THROW(KvmStatistics(file_of({}, {}, 900)), Error) << "more fields than there are bytes";
  EXPECT_THROW(KvmStatistics(file_of({}, {}, 0xffff'ffff)), Error);
  // Values beyond the end, or at odd places, are not read.
  EXPECT_TRUE(KvmStatistics(file_of({{"far", 0, 1, 1 << 19}, {"odd", 0, 1, 3}}, {1}, 2)).read().empty());
}

}  // namespace
}  // namespace warren::driver::domain
