// The driver side of a virtqueue (virtio 1.2 §2.7 split, §2.8 packed), as the test guest uses it: chains go
// in, used elements come out. Descriptors can also be written raw, to show a device what a driver never
// should.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace guest {

// One descriptor of a chain.
struct Segment {
  std::uint64_t address;
  std::uint32_t length;
  bool writable;  // by the device
};
template <typename T>
Segment readable(const T* data, std::uint64_t bytes = sizeof(T)) {
  return {reinterpret_cast<std::uint64_t>(data), static_cast<std::uint32_t>(bytes), false};
}
template <typename T>
Segment writable(T* data, std::uint64_t bytes = sizeof(T)) {
  return {reinterpret_cast<std::uint64_t>(data), static_cast<std::uint32_t>(bytes), true};
}

struct UsedElement {
  std::uint32_t id;
  std::uint32_t length;
};

inline constexpr std::uint16_t kDescriptorNext = 1, kDescriptorWrite = 2, kDescriptorIndirect = 4;

class Queue {
 public:
  // Addresses for the transport's queue_desc, queue_driver and queue_device.
  std::uint64_t descriptor_area() const { return descriptor_area_; }
  std::uint64_t driver_area() const { return driver_area_; }
  std::uint64_t device_area() const { return device_area_; }
  std::uint16_t size() const { return size_; }

  // Makes a chain available, through one indirect table when `indirect`; returns its id. The queue must have
  // room.
  virtual std::uint16_t add(std::span<const Segment> chain, bool indirect = false) = 0;
  // Whether the device asked to be notified of what was added since the last call.
  virtual bool needs_notification() = 0;
  // The next used element, if there is one.
  virtual std::optional<UsedElement> take_used() = 0;
  virtual bool has_used() const = 0;
  // Asks for an interrupt at the next used element, or for none at all.
  virtual void request_interrupts(bool wanted) = 0;

 protected:
  Queue(std::uint16_t size, bool event_index) : size_(size), event_index_(event_index) {}
  ~Queue() = default;

  std::uint16_t size_;
  bool event_index_;
  std::uint64_t descriptor_area_ = 0, driver_area_ = 0, device_area_ = 0;
};

}  // namespace guest
