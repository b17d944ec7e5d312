#include "tests/guest/virtio/scsi_driver.h"

#include "tests/guest/machine/memory.h"

namespace guest {
namespace {

constexpr std::uint64_t kHotPlug = 1 << 1, kChange = 1 << 2;
constexpr std::uint16_t kEvents = 1, kRequests = 2;
constexpr std::uint32_t kHeaderBytes = 19 + 32, kResponseBytes = 12 + 96;

}  // namespace

ScsiDriver::ScsiDriver() : device_(VirtioType::scsi) {
  if (!device_ || !device_.negotiate(kHotPlug | kChange)) return;
  data_ = allocate_array<std::uint8_t>(kDataBytes, 4096);
  header_ = allocate_array<std::uint8_t>(kHeaderBytes, 16);
  response_ = allocate_array<std::uint8_t>(kResponseBytes, 16);
  event_ = allocate_array<ScsiEvent>(1, 16);
  device_.set_up_queue(0, 16);
  events_ = &device_.set_up_queue(kEvents, 16);
  requests_ = &device_.set_up_queue(kRequests, 16);
  device_.start();
  lend_event();
}

void ScsiDriver::lend_event() {
  const Segment segment = writable(event_);
  events_->add({&segment, 1});
  device_.notify(kEvents, *events_);
}

ScsiResult ScsiDriver::command(ScsiUnit unit, std::span<const std::uint8_t> cdb, std::uint32_t out_bytes,
                               std::uint32_t in_bytes) {
  for (std::uint32_t i = 0; i < kHeaderBytes; ++i) header_[i] = 0;
  for (std::uint32_t i = 0; i < kResponseBytes; ++i) response_[i] = 0xff;
  header_[0] = 1;
  header_[1] = unit.target;
  header_[2] = static_cast<std::uint8_t>(0x40 | unit.lun >> 8);
  header_[3] = static_cast<std::uint8_t>(unit.lun);
  for (std::size_t i = 0; i < cdb.size() && i < 32; ++i) header_[19 + i] = cdb[i];
  Segment chain[4];
  unsigned count = 0;
  chain[count++] = readable(header_, kHeaderBytes);
  if (out_bytes != 0) chain[count++] = readable(data_, out_bytes);
  chain[count++] = writable(response_, kResponseBytes);
  if (in_bytes != 0) chain[count++] = writable(data_, in_bytes);
  requests_->add({chain, count});
  requests_->request_interrupts(true);
  device_.notify(kRequests, *requests_);
  if (!wait_used(*requests_)) return {};
  const volatile std::uint8_t* said = response_;
  ScsiResult result;
  result.status = said[10];
  result.response = said[11];
  if (said[0] != 0)
    result.sense = static_cast<std::uint32_t>((said[14] & 0xf) << 16 | said[24] << 8 | said[25]);
  return result;
}

std::optional<ScsiEvent> ScsiDriver::take_event() {
  if (!events_->take_used()) return std::nullopt;
  const ScsiEvent event = *event_;
  lend_event();
  return event;
}

}  // namespace guest
