#include "vmm-core/net/steering.h"

#include <algorithm>
#include <array>

#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::net {
namespace {

// Bits [at, at + 32) of the key.
std::uint32_t window(std::span<const std::byte, SteeringSettings::kKeyBytes> key, std::size_t at) noexcept {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < 5; ++i) bits = bits << 8 | std::to_integer<std::uint64_t>(key[at / 8 + i]);
  return static_cast<std::uint32_t>(bits >> (8 - at % 8));
}

}  // namespace

void write_table(SteeringTable& table, const SteeringSettings& settings) noexcept {
  std::array<std::byte, SteeringSettings::kKeyBytes> key{};
  std::ranges::copy(settings.key.first(std::min(settings.key.size(), SteeringSettings::kKeyBytes)),
                    key.begin());
  std::array<std::uint32_t, 8> bits{};
  for (std::size_t place = 0; place < SteeringTable::kMostHashed; ++place) {
    for (std::size_t bit = 0; bit < bits.size(); ++bit) bits[bit] = window(key, place * 8 + bit);
    for (std::size_t value = 0; value < 256; ++value) {
      std::uint32_t share = 0;
      for (std::size_t bit = 0; bit < bits.size(); ++bit)
        if ((value & 0x80U >> bit) != 0) share ^= bits[bit];
      table.shares[place][value] = share;
    }
  }
  const std::size_t count = std::min<std::size_t>(settings.entries.size(), SteeringTable::kMostEntries);
  std::ranges::copy(settings.entries.first(count), table.entries.begin());
  table.mask = static_cast<std::uint16_t>(count - 1);
  table.unclassified = settings.unclassified;
  table.hash_types = settings.hash_types;
}

Steering::Steering(FileDescriptor program, const FileDescriptor& table, FileDescriptor tap,
                   const std::string& name)
    : program_(std::move(program)), tap_(std::move(tap)) {
  void* const mapping =
      ::mmap(nullptr, sizeof(SteeringTable), PROT_READ | PROT_WRITE, MAP_SHARED, table.get(), 0);
  if (mapping == MAP_FAILED) throw_errno(name + ": table of receive-side scaling");
  table_ = static_cast<SteeringTable*>(mapping);
}

Steering::~Steering() {
  stop();  // a tap of somebody else's outlives the guest
  ::munmap(table_, sizeof(SteeringTable));
}

bool Steering::set_program(int program) noexcept {
  return ::ioctl(tap_.get(), TUNSETSTEERINGEBPF, &program) == 0;
}

bool Steering::start(const SteeringSettings& settings) noexcept {
  write_table(*table_, settings);
  if (!active_ && !set_program(program_.get())) return false;
  active_ = true;
  return true;
}

void Steering::stop() noexcept {
  if (!active_) return;
  set_program(-1);
  active_ = false;
}

}  // namespace warren::vmm::net
