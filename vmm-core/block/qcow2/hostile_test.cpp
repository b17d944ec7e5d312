// A corpus of malformed images, made on the spot: every field and the entries of every table, each with every
// value that has ever broken a reader (class T10); and what is said of the ones that are refused.
#include <chrono>

#include <gtest/gtest.h>
#include <zlib.h>

#include "vmm-core/block/qcow2/hostile_image.h"

namespace warren::vmm::block::qcow2 {
namespace {

TEST(Qcow2Hostile, T10EveryLieIsSurvived) {
  std::size_t images = 0;
  std::chrono::nanoseconds slowest{};
  for (std::uint64_t number = 0; number < kHostileBases; ++number) {
    const Disk good = hostile_base(number);
    const std::uint64_t size = good.host->bytes.size();
    const std::uint64_t l1 = load<std::uint64_t>(good.host->bytes.data() + field::kL1Offset);
    const std::vector<std::uint64_t> values = {0,
                                               1,
                                               2,
                                               512,
                                               ~std::uint64_t{0},
                                               std::uint64_t{1} << 63,
                                               size,
                                               l1,
                                               kCopied | l1,
                                               kCompressed,
                                               kCompressed | 512,
                                               kCopied | 512,
                                               std::uint64_t{1} << 62 | size,
                                               std::uint64_t{0xffff'ffff} << 32,
                                               0xffff'ffff,
                                               std::uint64_t{1} << 55,
                                               kCopied | (size & ~std::uint64_t{511}),
                                               0x0000'0020'0000'0000,
                                               kZero | kCopied | l1};
    for (const std::uint64_t place : hostile_places(good.host->bytes)) {
      for (const std::uint64_t value : values) {
        // Every base has its share; all of them together take too long.
        if ((place / 8 + value % 7 + number) % 8 != 0) continue;
        Disk disk;
        *disk.host = *good.host;
        store(disk.host->bytes.data() + place, value);
        const auto begin = std::chrono::steady_clock::now();
        exercise(disk);
        slowest = std::max<std::chrono::nanoseconds>(slowest, std::chrono::steady_clock::now() - begin);
        ++images;
      }
    }
  }
  std::printf("%zu malformed images, the slowest took %lld ms\n", images,
              static_cast<long long>(slowest.count() / 1'000'000));
  EXPECT_LT(slowest, std::chrono::seconds(20));
}

std::string refusal(const Disk& disk, const FileOptions& options = {}) {
  try {
    disk.open(options);
  } catch (const Error& error) {
    return error.what();
  }
  return "opened";
}

struct Lie {
  std::size_t place;
  int bytes;
  std::uint64_t value;
  const char* says;
};

TEST(Qcow2Hostile, SaysWhatIsWrong) {
  const auto lies = std::to_array<Lie>({
      {field::kMagic, 4, 0, "no qcow2 image"},
      {field::kVersion, 4, 4, "qcow2 version 4; 2 and 3 are known"},
      {field::kClusterBits, 4, 8, "clusters of 2^8 bytes"},
      {field::kClusterBits, 4, 22, "clusters of 2^22 bytes"},
      {field::kCryptMethod, 4, 1, "encrypted with AES"},
      {field::kCryptMethod, 4, 2, "encrypted with LUKS"},
      {field::kSize, 8, std::uint64_t{1} << 63, "too large"},
      {field::kSize, 8, std::uint64_t{1} << 50, "is too small for"},
      {field::kL1Size, 4, 0xffff'ffff, "larger than 32 MiB"},
      {field::kL1Offset, 8, 513, "does not begin at a cluster"},
      {field::kL1Offset, 8, ~std::uint64_t{65535}, "out of reach"},
      {field::kL1Offset, 8, 0x10000, "overlaps other metadata"},
      {field::kRefcountTableClusters, 4, 0, "no refcount table"},
      {field::kRefcountTableClusters, 4, 0xffff'ffff, "larger than 8 MiB"},
      {field::kSnapshots, 4, 70000, "70000 snapshots"},
      {field::kIncompatible, 8, 0x21, "features that are not known: bit 5"},
      {field::kIncompatible, 8, kCorrupt, "marked corrupt"},
      {field::kIncompatible, 8, kExternalData, "its data is in a file of its own"},
      {field::kIncompatible, 8, kCompressionType, "contradicts the feature bit"},
      {field::kAutoclear, 8, kBitmapsConsistent, "no bitmaps"},
      {field::kRefcountOrder, 4, 7, "reference counts of 2^7 bits"},
      {field::kHeaderLength, 4, 96, "a header of 96 bytes"},
      {field::kBackingOffset, 8, 65535, "name of its backing file"},
  });
  for (const Lie& lie : lies) {
    Disk disk;
    disk.create_image({.size = 1 << 20});
    std::byte* place = disk.host->bytes.data() + lie.place;
    if (lie.bytes == 8) store(place, lie.value);
    if (lie.bytes == 4) store(place, static_cast<std::uint32_t>(lie.value));
    if (lie.place == field::kBackingOffset) store(disk.host->bytes.data() + field::kBackingSize, 40u);
    EXPECT_NE(refusal(disk).find(lie.says), std::string::npos) << lie.says << ": " << refusal(disk);
    EXPECT_EQ(refusal(disk).find("image: "), 0u);
  }
}

TEST(Qcow2Hostile, UnknownFeaturesAreNamedByTheImage) {
  Disk disk;
  disk.create_image({.size = 1 << 20});
  store(disk.host->bytes.data() + field::kIncompatible, std::uint64_t{1} << 9);
  // The first entry of the feature name table.
  std::byte* entry = disk.host->bytes.data() + 112 + 8;
  entry[1] = std::byte{9};
  std::memcpy(entry + 2, "tel\nepathy\0", 11);
  EXPECT_NE(refusal(disk).find("not known: 'tel?epathy'"), std::string::npos) << refusal(disk);
}

TEST(Qcow2Hostile, ACorruptImageCanStillBeRead) {
  Disk disk;
  disk.create_image({.size = 1 << 20});
  ASSERT_EQ(write_disk(*disk.open(), 0, pattern(0, 512, 1)), 0);
  store(disk.host->bytes.data() + field::kIncompatible, std::uint64_t{kCorrupt});
  Bytes bytes(512);
  EXPECT_EQ(read_disk(*disk.open({.read_only = true}), 0, bytes), 0);
  EXPECT_TRUE(bytes == pattern(0, 512, 1));
}

// An entry that leads into metadata: found before anything is written there, and told to the next one.
TEST(Qcow2Hostile, T10AWriteIntoMetadataIsStoppedAndTheImageMarked) {
  Disk disk;
  disk.create_image({.size = 1 << 20});
  ASSERT_EQ(write_disk(*disk.open(), 0, pattern(0, 65536, 1)), 0);
  const auto l1 = load<std::uint64_t>(disk.host->bytes.data() + field::kL1Offset);
  const auto l2 = load<std::uint64_t>(disk.host->bytes.data() + l1) & kOffsetMask;
  store(disk.host->bytes.data() + l2, kCopied | l1);
  const Bytes before(disk.host->bytes.begin() + 512, disk.host->bytes.end());
  EXPECT_EQ(write_disk(*disk.open(), 0, pattern(0, 512, 2)), EIO);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), disk.host->bytes.begin() + 512));
  EXPECT_NE(refusal(disk).find("marked corrupt"), std::string::npos) << refusal(disk);
}

TEST(Qcow2Hostile, T10ACompressedBombFillsOneClusterAndNoMore) {
  Bytes zeros(1 << 20), packed(1 << 16);
  z_stream stream{};
  ASSERT_EQ(::deflateInit2(&stream, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(zeros.data());
  stream.avail_in = static_cast<uInt>(zeros.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ASSERT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  ::deflateEnd(&stream);
  Decompressor decompressor(Compression::zlib);
  Bytes cluster(4096 + 16, std::byte{0xee});
  EXPECT_EQ(decompressor.unpack(packed, std::span(cluster).first(4096)), 0);
  EXPECT_EQ(cluster[4095], std::byte{0});
  EXPECT_EQ(cluster[4096], std::byte{0xee});
  // Cut off, and nonsense.
  EXPECT_EQ(decompressor.unpack(std::span(packed).first(2), std::span(cluster).first(4096)), EIO);
  EXPECT_EQ(decompressor.unpack(pattern(0, 512, 3), std::span(cluster).first(4096)), EIO);
  Decompressor other(Compression::zstd);
  EXPECT_EQ(other.unpack(packed, std::span(cluster).first(4096)), EIO);
  // A frame that wants a window of 2^31 bytes.
  const auto frame = std::to_array<std::uint8_t>({0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00});
  EXPECT_EQ(other.unpack(std::as_bytes(std::span(frame)), std::span(cluster).first(4096)), EIO);
}

TEST(Qcow2Create, RefusesWhatCannotBe) {
  struct Case {
    CreateOptions options;
    const char* says;
  };
  const auto cases = std::to_array<Case>({
      {{.size = 1, .version = 3}, "size: "},
      {{.size = std::uint64_t{1} << 62}, "size: too large"},
      {{.size = 512, .version = 4}, "compat: "},
      {{.size = 512, .cluster_bits = 8}, "cluster_size: "},
      {{.size = 512, .refcount_order = 7}, "refcount_bits: "},
      {{.size = 512, .version = 2, .refcount_order = 3}, "refcount_bits: version 2"},
      {{.size = 512, .version = 2, .lazy_refcounts = true}, "lazy_refcounts: "},
      {{.size = 512, .cluster_bits = 12, .extended_l2 = true}, "extended_l2: "},
      {{.size = 512, .backing_file = "base"}, "backing_fmt: "},
      {{.size = 512, .raw_data_file = true}, "data_file_raw: "},
      {{.size = 512, .backing_file = "b", .backing_format = "raw", .preallocation = Preallocation::full},
       "preallocation: "},
  });
  for (const Case& one : cases) {
    std::string said = "made";
    try {
      check_options(one.options);
    } catch (const Error& error) {
      said = error.what();
    }
    EXPECT_EQ(said.find(one.says), 0u) << one.says << " but " << said;
  }
}

}  // namespace
}  // namespace warren::vmm::block::qcow2
