#include "tests/guest/virtio/block_driver.h"

#include "tests/guest/machine/memory.h"

namespace guest {

BlockDriver::BlockDriver(std::uint64_t features, std::uint16_t queue_size, std::uint16_t vector)
    : device_(VirtioType::block) {
  if (!device_ || !device_.negotiate(features)) return;
  if (vector != kNoVector) device_.enable_msix();
  queue_ = &device_.set_up_queue(0, queue_size, vector);
  device_.start();
}

BlockDriver::BlockDriver(PciFunction& function) : device_(&function) {
  if (!device_ || !device_.negotiate(0)) return;
  queue_ = &device_.set_up_queue(0, 64);
  device_.start();
}

BlockResult BlockDriver::request(std::uint32_t type, std::uint64_t sector, std::span<const Segment> segments,
                                 bool indirect) {
  auto* header = allocate_array<block::Header>(1, 16);
  auto* status = allocate_array<std::uint8_t>(1);
  *header = {type, 0, sector};
  *status = 0xff;
  Segment chain[40];
  unsigned count = 0;
  chain[count++] = readable(header);
  for (const auto& segment : segments)
    if (count < 39) chain[count++] = segment;
  chain[count++] = writable(status);
  std::uint16_t id = queue_->add({chain, count}, indirect);
  queue_->request_interrupts(true);
  device_.notify(0, *queue_);
  auto used = wait_used(*queue_);
  if (!used || used->id != id) return {};
  return {*const_cast<volatile std::uint8_t*>(status), used->length, true};
}

BlockResult BlockDriver::read(std::uint64_t sector, void* data, std::uint32_t bytes, bool indirect) {
  Segment segment{physical(data), bytes, true};
  return request(block::kIn, sector, {&segment, 1}, indirect);
}

BlockResult BlockDriver::write(std::uint64_t sector, const void* data, std::uint32_t bytes, bool indirect) {
  Segment segment{physical(data), bytes, false};
  return request(block::kOut, sector, {&segment, 1}, indirect);
}

bool sector_is_original(const std::uint64_t* data, std::uint64_t sector) {
  for (std::uint64_t i = 0; i < 64; ++i)
    if (data[i] != sector * 64 + i) return false;
  return true;
}

}  // namespace guest
