// Hostile images: a good one with lies in the places that matter, or any bytes at all (class T10).
#include <cstring>

#include "vmm-core/block/qcow2/hostile_image.h"

namespace {

using namespace warren::vmm::block::qcow2;

struct Base {
  Disk disk;
  std::vector<std::uint64_t> places;
};

const Base& base(std::uint64_t number) {
  static const std::vector<Base> bases = [] {
    std::vector<Base> made;
    for (std::uint64_t i = 0; i < kHostileBases; ++i) {
      Disk disk = hostile_base(i);
      auto places = hostile_places(disk.host->bytes);
      made.push_back({disk, std::move(places)});
    }
    return made;
  }();
  return bases[number % kHostileBases];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  Disk disk;
  disk.host->most_bytes = kHostileBytes;
  const Base& from = base(data[0]);
  if (data[0] == 0xff) {
    disk.host->bytes.resize(size - 1);
    std::memcpy(disk.host->bytes.data(), data + 1, size - 1);
    exercise(disk);
    return 0;
  }
  disk.host->bytes = from.disk.host->bytes;
  // Each lie: a place, what is done there, and up to eight bytes.
  for (std::size_t at = 1; at + 11 <= size && at < 1 + 11 * 16; at += 11) {
    const std::uint64_t index = data[at] | std::uint64_t{data[at + 1]} << 8;
    std::byte* place = disk.host->bytes.data() + from.places[index % from.places.size()];
    std::uint64_t value = 0;
    std::memcpy(&value, data + at + 3, 8);
    const auto old = load<std::uint64_t>(place);
    switch (data[at + 2] % 6) {
      case 0:
        store(place, value);
        break;
      case 1:
        store(place, old ^ value);
        break;
      case 2:  // somewhere in the file
        store(place, (old & 0xf000'0000'0000'0000) | (value % disk.host->bytes.size() & ~std::uint64_t{511}));
        break;
      case 3:
        store(place, old + value % 5 - 2);
        break;
      case 4:  // what another place says
        std::memmove(place, disk.host->bytes.data() + from.places[value % from.places.size()], 8);
        break;
      case 5:
        disk.host->bytes.resize(std::max<std::size_t>(value % (disk.host->bytes.size() + 1), 120));
        disk.host->bytes.resize(from.disk.host->bytes.size());
        break;
    }
  }
  // One at a time: they have nothing to do with each other, and each is slow.
  exercise(disk, data[0] >> 4);
  return 0;
}
