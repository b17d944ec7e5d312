// A logical unit: what was begun on it, and its disk.
#include <algorithm>
#include <utility>

#include "vmm-core/virtio/scsi_parts.h"

namespace warren::vmm::virtio {

using Kind = scsi::Answer::Kind;

Scsi::Unit::Unit(Scsi& device, UnitConfiguration configuration)
    : device_(device),
      configuration_(std::move(configuration)),
      stream_(*configuration_.disk, 0, device.options_.commands_per_unit, *this) {}

template <typename Each>
void Scsi::Unit::for_each_parked(Each each) noexcept {
  for (auto& queue : device_.requests_)
    for (Command& command : queue->commands())
      if (command.unit == this && std::exchange(command.parked, false)) each(command);
}

void Scsi::Unit::start() {
  if (running_) return;
  stream_.start(device_.thread_);
  running_ = true;
  for_each_parked([this](Command& command) { begin_next(command); });
  stream_.kick();
}

void Scsi::Unit::stop() noexcept {
  if (!std::exchange(running_, false)) return;
  stream_.stop(device_.thread_);
}

void Scsi::Unit::give_up(std::optional<ScsiResponse> response) noexcept {
  abandon_as_ = response;
  leaving_ = true;  // nothing follows on what ends now
  stream_.drain();
  stream_.abandon();
  for_each_parked([this](Command& command) { abandoned(command); });
  leaving_ = false;
}

void Scsi::Unit::set_medium(std::unique_ptr<block::Image> image) {
  const std::optional<std::uint64_t> bytes =
      image ? std::optional(image->size()) : std::optional<std::uint64_t>();
  give_up(ScsiResponse::reset);  // the driver tries again, and learns of the medium then
  stream_.replace_image(std::move(image), running_ ? &device_.thread_ : nullptr);
  optical_drive()->set_medium(bytes);
}

void Scsi::Unit::begin(Command& command) noexcept {
  command.unit = this;
  ++in_flight_;
  begin_next(command);
}

// The next request to the host.
void Scsi::Unit::begin_next(Command& command) noexcept {
  command.clear();
  switch (command.kind) {
    case Kind::read:
    case Kind::write:
      command.operation = command.kind == Kind::read ? block::Operation::read : block::Operation::write;
      command.counted = command.kind == Kind::read ? block::Counted::read : block::Counted::write;
      command.ranges = std::span(command.room->ranges).subspan(command.response_ranges, command.data_ranges);
      command.offset = command.next_offset;
      command.length = std::exchange(command.left, 0);
      if (command.kind == Kind::write) stream_.detect_zeroes(command);
      break;
    case Kind::flush:
      command.operation = block::Operation::flush;
      command.counted = block::Counted::flush;
      break;
    case Kind::discard: {
      const scsi::Extent& extent = command.room->extents[command.next_extent++];
      command.operation = block::Operation::discard;
      command.offset = extent.offset;
      command.length = extent.length;
      break;
    }
    case Kind::zero:
      command.operation = block::Operation::write_zeroes;
      command.offset = command.next_offset;
      command.length = std::exchange(command.left, 0);
      command.may_unmap = command.unmaps;
      break;
    default:
      prepare_fill(command);
  }
  // One flush behind the last of them covers all.
  command.durable = command.is_durable && !command.has_more();
  touched_ = true;
  stream_.begin(command);
}

// The block as often as there are ranges for it. The host uses the ranges up, so they are made anew.
void Scsi::Unit::prepare_fill(Command& command) noexcept {
  const std::uint64_t block = disk().options().logical_block_size;
  const auto ranges = std::span(command.room->ranges).subspan(command.response_ranges);
  const auto pattern = ranges.first(command.block_ranges);
  const auto copies = ranges.subspan(command.block_ranges);
  const std::uint64_t times =
      std::min<std::uint64_t>(copies.size() / command.block_ranges, command.left / block);
  for (std::size_t i = 0; i < times; ++i)
    std::ranges::copy(pattern, copies.begin() + static_cast<std::ptrdiff_t>(i * command.block_ranges));
  command.operation = block::Operation::write;
  command.counted = block::Counted::write;
  command.ranges = copies.first(static_cast<std::size_t>(times) * command.block_ranges);
  command.offset = command.next_offset;
  command.length = times * block;
  command.next_offset += command.length;
  command.left -= command.length;
}

void Scsi::Unit::finished(block::DiskRequest& request, bool failed) noexcept {
  // Every request here is a command's base.
  Command& command = static_cast<Command&>(request);
  stream_.count(command, failed);
  const bool goes_on = !failed && command.given_up == ScsiResponse::ok && command.has_more();
  if (!goes_on) return end(command, failed);
  if (leaving_) return abandoned(command);
  if (running_) return begin_next(command);
  command.parked = true;
}

void Scsi::Unit::end(Command& command, bool failed) noexcept {
  --in_flight_;
  RequestQueue& queue = *command.queue;
  if (command.given_up != ScsiResponse::ok) {
    queue.respond(command, command.given_up);
  } else if (failed) {
    queue.fail(command, command.kind == Kind::read ? scsi::kUnrecoveredRead : scsi::kWriteError);
  } else {
    const bool moves_data = command.kind == Kind::read || command.kind == Kind::write;
    queue.succeed(command, moves_data ? command.bytes : 0);
  }
  device_.functions_->look_again();
}

void Scsi::Unit::abandoned(block::DiskRequest& request) noexcept {
  Command& command = static_cast<Command&>(request);
  if (!abandon_as_) {
    --in_flight_;
    command.queue->drop(command);
    return;
  }
  if (command.given_up == ScsiResponse::ok) command.given_up = *abandon_as_;
  end(command, false);
}

void Scsi::Unit::abort(Command& command, ScsiResponse response) noexcept {
  command.given_up = response;
  if (std::exchange(command.parked, false) || stream_.withdraw(command)) end(command, false);
}

bool Scsi::Unit::push() noexcept {
  if (!std::exchange(touched_, false)) return false;
  stream_.kick();
  const bool done = stream_.reap() != 0;
  if (std::exchange(touched_, false)) stream_.kick();  // what followed on what was done
  return done;
}

void Scsi::Unit::went_on() noexcept {
  if (std::exchange(touched_, false)) stream_.kick();
  device_.settle();
}

}  // namespace warren::vmm::virtio
