// For tests: images that lie, and everything that may be done with one. Nothing of it may crash, hang, or
// take more memory than an image may (class T10).
#pragma once

#include <exception>

#include "vmm-core/block/qcow2/disk_fixture.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {

// What a lie may make of an image, in bytes: the host's file has no more room.
inline constexpr std::uint64_t kHostileBytes = std::uint64_t{4} << 20;

// Good images to begin with: `number` says which.
inline constexpr std::uint64_t kHostileBases = 8;
inline Disk hostile_base(std::uint64_t number) {
  Disk disk;
  CreateOptions options{.size = 300 * 512, .cluster_bits = 9};
  if (number % 2 == 1) options.cluster_bits = 12, options.refcount_order = 6;
  if (number == 2) options.refcount_order = 0;
  if (number == 3) options.version = 2, options.refcount_order = 4;
  if (number >= 4) options.lazy_refcounts = true;
  if (number == 6) options.cluster_bits = 14, options.extended_l2 = true;
  if (number == 7) options.compression = Compression::zstd;
  disk.create_image(options);
  auto file = disk.open();
  RandomWork steps(number, options.size);
  for (int i = 0; i < 12; ++i) perform_step(*file, steps.next());
  if (number != 2) file->create_snapshot("kept", 0, 0);
  for (int i = 0; i < 4; ++i) perform_step(*file, steps.next());
  file.reset();
  disk.host->most_bytes = kHostileBytes;
  return disk;
}

// Where a lie is worth most: the header's fields, and entries of every table.
inline std::vector<std::uint64_t> hostile_places(const Bytes& image) {
  std::vector<std::uint64_t> places;
  for (std::uint64_t at = 8; at < 112; at += 8) places.push_back(at);
  const auto add_table = [&](std::uint64_t offset, std::uint64_t entries) {
    for (std::uint64_t i = 0; i < entries && offset + i * 8 + 8 <= image.size(); ++i)
      places.push_back(offset + i * 8);
  };
  const auto field_at = [&](std::size_t at) { return load<std::uint64_t>(image.data() + at); };
  add_table(field_at(field::kL1Offset), 8);
  add_table(field_at(field::kRefcountTableOffset), 8);
  add_table(field_at(field::kSnapshotsOffset), 10);
  for (std::uint64_t table = 0; table < 3; ++table) {
    const std::uint64_t at = field_at(field::kL1Offset) + table * 8;
    if (at + 8 <= image.size()) add_table(field_at(at) & kOffsetMask, 12);
  }
  add_table(field_at(field_at(field::kRefcountTableOffset)), 6);
  return places;
}

inline void use_disk(File& file) {
  const std::uint64_t size = file.size();
  Bytes bytes(16384);
  for (const std::uint64_t at :
       {std::uint64_t{0}, size / 2 / 512 * 512, size > 16384 ? (size - 16384) / 512 * 512 : 0}) {
    if (at + bytes.size() > size) continue;
    file.find(at, bytes.size());
    read_disk(file, at, bytes);
    file.find(at, bytes.size());
  }
  if (file.read_only()) return;
  for (const std::uint64_t at : {std::uint64_t{0}, size / 3 / 512 * 512}) {
    if (at + 8192 > size) continue;
    write_disk(file, at, pattern(at, 4096, 7));
    file.find_writable(at, 4096);
    file.write_zeroes(at + 4096, 2048, true);
    file.discard(at, 8192);
    write_disk(file, at + 512, pattern(at + 512, 1024, 8));
    file.flush();
  }
}

// What every failure is here: an Error.
inline void attempt(auto&& work) {
  try {
    work();
  } catch (const Error&) {
  }
}

inline void exercise_writer(const Disk& disk) {
  attempt([&] {
    auto file = disk.open({.discard = true});
    use_disk(*file);
    attempt([&] { file->create_snapshot("mine", 0, 0); });
    attempt([&] { file->apply_snapshot("kept"); });
    attempt([&] { file->delete_snapshot("kept"); });
    attempt([&] { file->resize(size_t{512} * 2000); });
    use_disk(*file);
    attempt([&] { file->resize(size_t{512} * 20); });
  });
}

inline constexpr unsigned kExercises = 4;
// One of them, as who opens the image for it.
inline void exercise(const Disk& disk, unsigned number) {
  MemoryFile file(disk.host);
  switch (number % kExercises) {
    case 0:
      return attempt([&] { use_disk(*disk.open({.read_only = true})); });
    case 1:
      return attempt([&] { disk.check(); });
    case 2:
      return exercise_writer(disk);
    case 3:
      return attempt([&] {
        repair(file, "image", RepairLevel::leaks);
        repair(file, "image", RepairLevel::all);
      });
  }
}
inline void exercise(const Disk& disk) {
  for (unsigned number = 0; number < kExercises; ++number) exercise(disk, number);
}

}  // namespace warren::vmm::block::qcow2
