#include "vmm-core/pci/msix.h"

#include <algorithm>
#include <cstring>

#include "vmm-core/os/error.h"

namespace warren::vmm::pci {
namespace {

constexpr std::uint64_t kWord = 4;
constexpr std::uint32_t kVectorMasked = 1;  // vector control, bit 0

}  // namespace

Msix::Msix(MsiRouter& router, std::uint16_t vectors) : count_(vectors) {
  if (vectors == 0 || vectors > kMaximumMsixVectors) {
    throw Error(std::errc::invalid_argument, "MSI-X: " + std::to_string(vectors) + " vectors");
  }
  vectors_ = std::make_unique<Vector[]>(vectors);
  for (std::uint16_t i = 0; i < vectors; ++i) {
    vectors_[i].route = router.allocate();
    vectors_[i].route->hold(true);
  }
}

Msix::~Msix() = default;

void Msix::signal(std::uint16_t index) noexcept {
  if (index >= count_) {
    lost_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  Vector& vector = vectors_[index];
  if (vector.deliverable.load(std::memory_order_acquire)) {
    vector.route->signal();
    return;
  }
  const std::lock_guard lock(mutex_);
  if (!enabled_.load(std::memory_order_relaxed)) return;
  vector.pending = true;
  update(vector);  // it may have been unmasked meanwhile
}

bool Msix::is_masked(std::uint16_t vector) const noexcept {
  const std::lock_guard lock(mutex_);
  return vector >= count_ || vectors_[vector].masked;
}

int Msix::event_descriptor(std::uint16_t vector) const noexcept {
  return vector < count_ ? vectors_[vector].route->event_descriptor() : -1;
}

// Brings `deliverable` in line with the registers and sends what became pending. Lock held.
void Msix::update(Vector& vector) noexcept {
  const bool open = enabled_.load(std::memory_order_relaxed) && !function_masked_ && !vector.masked;
  if (!open) {
    vector.deliverable.store(false, std::memory_order_release);
    vector.route->hold(true);
    return;
  }
  if (!vector.deliverable.load(std::memory_order_relaxed)) {
    if (!vector.route->set_message(vector.message)) {
      lost_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    vector.deliverable.store(true, std::memory_order_release);
    vector.route->hold(false);
  }
  if (vector.pending) {
    vector.pending = false;
    vector.route->signal();
  }
}

void Msix::set_control(bool enabled, bool function_masked) noexcept {
  const std::lock_guard lock(mutex_);
  function_masked_ = function_masked;
  enabled_.store(enabled, std::memory_order_release);
  for (std::uint16_t i = 0; i < count_; ++i) update(vectors_[i]);
}

std::uint32_t Msix::read_word(std::uint64_t offset) const noexcept {
  const std::uint64_t index = offset / kMsixEntrySize;
  if (index >= count_) return 0;
  const Vector& vector = vectors_[index];
  switch (offset % kMsixEntrySize / kWord) {
    case 0:
      return static_cast<std::uint32_t>(vector.message.address);
    case 1:
      return static_cast<std::uint32_t>(vector.message.address >> 32);
    case 2:
      return vector.message.data;
    default:
      return vector.masked ? kVectorMasked : 0;
  }
}

void Msix::write_word(std::uint64_t offset, std::uint32_t value) noexcept {
  const std::uint64_t index = offset / kMsixEntrySize;
  if (index >= count_) return;
  Vector& vector = vectors_[index];
  switch (offset % kMsixEntrySize / kWord) {
    case 0:
      // Messages are doubleword writes: the low two bits are always 0 (PCI 3.0 §6.8.2.4).
      vector.message.address = (vector.message.address & ~std::uint64_t{0xffff'ffff}) | (value & ~3U);
      break;
    case 1:
      vector.message.address = (vector.message.address & 0xffff'ffff) | std::uint64_t{value} << 32;
      break;
    case 2:
      vector.message.data = value;
      break;
    default:
      vector.masked = (value & kVectorMasked) != 0;
      update(vector);
      return;
  }
  // Changing the message of an unmasked vector has undefined results (§6.8.2.9); here the new one is used.
  vector.deliverable.store(false, std::memory_order_release);
  update(vector);
}

void Msix::Table::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  // Software must use whole doublewords or quadwords (§6.8.2); other reads get the bytes that are there.
  const std::lock_guard lock(msix_.mutex_);
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::uint64_t at = offset + i;
    data[i] = static_cast<std::byte>(msix_.read_word(at & ~(kWord - 1)) >> (8 * (at % kWord)));
  }
}

void Msix::Table::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  // Anything but an aligned doubleword or quadword is undefined by §6.8.2, and ignored.
  if (offset % data.size() != 0 || (data.size() != 4 && data.size() != 8)) return;
  const std::lock_guard lock(msix_.mutex_);
  for (std::size_t i = 0; i < data.size(); i += kWord) {
    std::uint32_t value = 0;
    std::memcpy(&value, data.data() + i, kWord);
    msix_.write_word(offset + i, value);
  }
}

void Msix::PendingBits::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(msix_.mutex_);
  for (std::size_t i = 0; i < data.size(); ++i) {
    unsigned bits = 0;
    for (std::uint64_t bit = 0; bit < 8; ++bit) {
      const std::uint64_t vector = (offset + i) * 8 + bit;
      if (vector >= msix_.count_) break;
      const Vector& each = msix_.vectors_[vector];
      if (each.pending || each.route->is_waiting()) bits |= 1U << bit;
    }
    data[i] = static_cast<std::byte>(bits);
  }
}

void Msix::reset() noexcept {
  const std::lock_guard lock(mutex_);
  enabled_.store(false, std::memory_order_release);
  function_masked_ = false;
  for (std::uint16_t i = 0; i < count_; ++i) {
    Vector& vector = vectors_[i];
    vector.deliverable.store(false, std::memory_order_release);
    vector.route->hold(true);
    vector.message = {};
    vector.masked = true;
    vector.pending = false;
  }
}

MsixState Msix::save() const {
  const std::lock_guard lock(mutex_);
  MsixState state{.enabled = enabled_.load(std::memory_order_relaxed), .function_masked = function_masked_};
  for (std::uint16_t i = 0; i < count_; ++i) {
    state.vectors.push_back({vectors_[i].message, vectors_[i].masked, vectors_[i].pending});
  }
  return state;
}

void Msix::restore(const MsixState& state) {
  if (state.vectors.size() != count_) {
    throw Error(std::errc::invalid_argument, "MSI-X: the saved state has " +
                                                 std::to_string(state.vectors.size()) +
                                                 " vectors, the device " + std::to_string(count_));
  }
  const std::lock_guard lock(mutex_);
  enabled_.store(state.enabled, std::memory_order_release);
  function_masked_ = state.function_masked;
  for (std::uint16_t i = 0; i < count_; ++i) {
    Vector& vector = vectors_[i];
    vector.deliverable.store(false, std::memory_order_release);
    vector.message = state.vectors[i].message;
    vector.masked = state.vectors[i].masked;
    vector.pending = state.vectors[i].pending;
    update(vector);
  }
}

void Msix::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("enabled", enabled_.load(std::memory_order_relaxed));
  node.add("function_masked", function_masked_);
  node.add("lost", lost_.load(std::memory_order_relaxed));
  for (std::uint16_t i = 0; i < count_; ++i) {
    InspectNode& child = node.child("vector" + std::to_string(i));
    child.add("address", vectors_[i].message.address);
    child.add("data", vectors_[i].message.data);
    child.add("masked", vectors_[i].masked);
    child.add("pending", vectors_[i].pending);
  }
}

}  // namespace warren::vmm::pci
