// Images that are wrong in one known way each (class T10): nothing of them crashes, hangs or grows, and each
// is refused or told of by a check, as QEMU's tools do with the same file.
#include <chrono>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "vmm-core/block/qcow2/hostile_image.h"
#include "vmm-core/block/qcow2/peer_program.h"

namespace warren::vmm::block::qcow2 {
namespace {

namespace fs = std::filesystem;

// The places of a good image's structures.
class Places {
 public:
  explicit Places(Bytes& bytes) : bytes_(bytes) {}

  std::uint64_t get(std::uint64_t at) const { return load<std::uint64_t>(bytes_.data() + at); }
  void set(std::uint64_t at, std::uint64_t value) { store(bytes_.data() + at, value); }
  void set_narrow(std::uint64_t at, std::uint32_t value) { store(bytes_.data() + at, value); }

  std::uint64_t end() const { return (bytes_.size() + 511) / 512 * 512; }
  std::uint64_t l1() const { return get(field::kL1Offset); }
  std::uint64_t l2() const { return get(l1()) & kOffsetMask; }
  std::uint64_t snapshots() const { return get(field::kSnapshotsOffset); }
  std::uint64_t counts() const { return get(field::kRefcountTableOffset); }
  std::uint64_t count_block() const { return get(counts()); }
  // Of the n-th cluster of the file, of counts of 16 bits.
  void set_count(std::uint64_t cluster, std::uint16_t count) {
    store(bytes_.data() + count_block() + cluster * 2, count);
  }

 private:
  Bytes& bytes_;
};

struct Malformed {
  const char* name;
  void (*make)(Places&);
};

constexpr auto kMalformed = std::to_array<Malformed>({
    {"the refcount table is the L1 table", [](Places& p) { p.set(field::kRefcountTableOffset, p.l1()); }},
    {"a refcount block is the refcount table", [](Places& p) { p.set(p.counts(), p.counts()); }},
    {"a refcount block is there twice", [](Places& p) { p.set(p.counts() + 8, p.count_block()); }},
    {"a refcount block is beyond the end", [](Places& p) { p.set(p.counts(), p.end() + (1u << 30)); }},
    {"the refcount table is beyond the end",
     [](Places& p) { p.set(field::kRefcountTableOffset, p.end() + (1u << 30)); }},
    {"an L2 table is the L1 table", [](Places& p) { p.set(p.l1(), kCopied | p.l1()); }},
    {"an L2 table is the refcount table", [](Places& p) { p.set(p.l1(), kCopied | p.counts()); }},
    {"an L2 table is beyond the end", [](Places& p) { p.set(p.l1(), kCopied | (p.end() + (1u << 30))); }},
    {"an L2 table is not at a cluster", [](Places& p) { p.set(p.l1(), kCopied | (p.l2() + 8)); }},
    {"two places of the L1 table are one L2 table", [](Places& p) { p.set(p.l1() + 8, p.get(p.l1())); }},
    {"the L1 table is the header", [](Places& p) { p.set(field::kL1Offset, 0); }},
    {"the L1 table is beyond the end", [](Places& p) { p.set(field::kL1Offset, p.end() + (1u << 30)); }},
    {"the L1 table has 2^32 - 1 entries", [](Places& p) { p.set_narrow(field::kL1Size, 0xffff'ffff); }},
    {"a cluster is the L1 table", [](Places& p) { p.set(p.l2(), kCopied | p.l1()); }},
    {"a cluster is the L2 table that says so", [](Places& p) { p.set(p.l2(), kCopied | p.l2()); }},
    {"a cluster is a refcount block", [](Places& p) { p.set(p.l2(), kCopied | p.count_block()); }},
    {"a cluster is the header", [](Places& p) { p.set(p.l2(), kCompressed | 0); }},
    {"a cluster is beyond the end", [](Places& p) { p.set(p.l2(), kCopied | (p.end() + (1u << 30))); }},
    {"a cluster is not at a cluster", [](Places& p) { p.set(p.l2(), kCopied | 0x1100); }},
    {"a compressed cluster reaches beyond the end",
     [](Places& p) { p.set(p.l2(), kCompressed | (p.end() + 512)); }},
    {"the L2 table is not counted", [](Places& p) { p.set_count(p.l2() / 512, 0); }},
    {"the header is not counted", [](Places& p) { p.set_count(0, 0); }},
    {"the L1 table of a snapshot is beyond the end",
     [](Places& p) { p.set(p.snapshots(), p.end() + (1u << 30)); }},
    {"the L1 table of a snapshot is a refcount block",
     [](Places& p) { p.set(p.snapshots(), p.count_block()); }},
    {"the snapshot table is beyond the end",
     [](Places& p) { p.set(field::kSnapshotsOffset, p.end() + (1u << 30)); }},
    {"there are 2^32 - 1 snapshots", [](Places& p) { p.set_narrow(field::kSnapshots, 0xffff'ffff); }},
    {"the disk has 2^63 bytes", [](Places& p) { p.set(field::kSize, std::uint64_t{1} << 63); }},
    {"the disk has 2^62 bytes", [](Places& p) { p.set(field::kSize, std::uint64_t{1} << 62); }},
});

Disk good_image() {
  Disk disk = hostile_base(0);
  disk.host->bytes.resize((disk.host->bytes.size() + 511) / 512 * 512);
  return disk;
}

std::string verdict(const Disk& disk) {
  try {
    const CheckResult result = disk.check();
    if (result.corruptions != 0) return "corrupt";
    disk.open({.read_only = true});
    return result.leaks != 0 ? "leaks" : "clean";
  } catch (const Error& error) {
    return "refused";
  }
}

TEST(Qcow2Malformed, T10EachIsToldOfAsThePeerDoes) {
  const fs::path file = fs::path(testing::TempDir()) / ("malformed-" + std::to_string(::getpid()) + ".qcow2");
  ASSERT_EQ(verdict(good_image()), "clean");
  for (const Malformed& malformed : kMalformed) {
    SCOPED_TRACE(malformed.name);
    Disk disk = good_image();
    Places places(disk.host->bytes);
    malformed.make(places);
    const std::string found = verdict(disk);
    EXPECT_TRUE(found == "corrupt" || found == "refused") << found;
    const Bytes& bytes = disk.host->bytes;
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    std::string said;
    EXPECT_NE(run_peer({"qemu-img", "check", "-f", "qcow2", file}, said), 0) << said;
    const auto begin = std::chrono::steady_clock::now();
    exercise(disk);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
    EXPECT_LE(disk.host->bytes.size(), kHostileBytes);
  }
  fs::remove(file);
}

}  // namespace
}  // namespace warren::vmm::block::qcow2
