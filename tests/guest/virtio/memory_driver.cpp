#include "tests/guest/virtio/memory_driver.h"

#include "tests/guest/machine/cpu.h"
#include "tests/guest/machine/memory.h"

namespace guest {

MemoryDriver::MemoryDriver(VirtioDevice device, std::uint64_t features) : device_(device) {
  if (!device_ || !device_.negotiate(features)) return;
  queue_ = &device_.set_up_queue(0, 16);
  request_ = allocate_array<std::uint64_t>(3);
  answer_ = allocate_array<Answer>(1);
  device_.start();
  map_identity(address(), size());
}

std::uint64_t MemoryDriver::field(std::uint64_t offset) const {
  return read64(device_.configuration() + offset);
}

std::uint16_t MemoryDriver::ask(memory_request::Type type, std::uint64_t address, std::uint16_t blocks,
                                std::uint16_t* state) {
  request_[0] = type;
  request_[1] = address;
  request_[2] = blocks;
  answer_->type = memory_request::kNoAnswer;
  Segment chain[] = {readable(request_, 24), writable(answer_, 10)};
  queue_->add(chain);
  queue_->request_interrupts(true);
  device_.notify(0, *queue_);
  const auto used = wait_used(*queue_);
  if (!used.has_value() || used->length != 10) return memory_request::kNoAnswer;
  if (state != nullptr) *state = answer_->state;
  return answer_->type;
}

bool MemoryDriver::follow() {
  const std::uint64_t has = plugged(), wanted = requested();
  if (has == wanted) return false;
  const auto blocks = static_cast<std::uint16_t>((has < wanted ? wanted - has : has - wanted) / block());
  const std::uint64_t from = address() + (has < wanted ? has : wanted);
  ask(has < wanted ? memory_request::kPlug : memory_request::kUnplug, from, blocks);
  return true;
}

}  // namespace guest
