// The request queues of the SCSI host device (virtio 1.2 §5.6.6.1).
#include <algorithm>
#include <limits>
#include <utility>

#include "vmm-core/scsi/command.h"
#include "vmm-core/virtio/scsi_parts.h"

namespace warren::vmm::virtio {

using Kind = scsi::Answer::Kind;

namespace {

constexpr std::size_t kMaximumCommandBytes = 256;
constexpr std::size_t kMaximumResponseRanges = 64;
constexpr std::size_t kMaximumBlockRanges = 32;

}  // namespace

std::optional<ScsiPlace> place_of(const ScsiLun& lun) noexcept {
  constexpr std::uint8_t kPeripheral = 0, kFlat = 1;
  if (lun[0] != 1 || lun[4] != 0 || lun[5] != 0 || lun[6] != 0 || lun[7] != 0) return std::nullopt;
  if (lun[2] == 0xc1 && lun[3] == 0x01) return ScsiPlace{.target = lun[1], .is_well_known = true};
  const std::uint8_t method = lun[2] >> 6;
  const bool is_sound = method == kFlat || (method == kPeripheral && lun[2] == 0);
  if (!is_sound) return std::nullopt;
  return ScsiPlace{.target = lun[1], .lun = static_cast<std::uint16_t>((lun[2] & 0x3f) << 8 | lun[3])};
}

ScsiLun lun_of(ScsiUnitAddress address) noexcept {
  return {1, address.target, static_cast<std::uint8_t>(0x40 | address.lun >> 8),
          static_cast<std::uint8_t>(address.lun & 0xff)};
}

Scsi::RequestQueue::RequestQueue(Scsi& device, std::uint16_t index)
    : device_(device),
      index_(index),
      rooms_(std::make_unique_for_overwrite<Command::Room[]>(device.options_.queue_size)),
      commands_(device.options_.queue_size) {
  for (std::size_t i = 0; i < commands_.size(); ++i) {
    commands_[i].queue = this;
    commands_[i].room = &rooms_[i];
  }
  for (auto command = commands_.rbegin(); command != commands_.rend(); ++command) free_.push_back(&*command);
}

ServedDevice::Served Scsi::RequestQueue::serve() noexcept {
  Chain chain;
  unsigned served = 0;
  bool done = false;
  serving_ = true;
  do {
    for (; served < kShare && !free_.empty() && device_.queue(index_).pop(chain); ++served) take(chain);
    // What the page cache answered is done already; looking costs nothing.
    done = device_.push_units();
  } while (done && served < kShare && !free_.empty());
  const bool was_full = free_.empty();
  device_.settle();  // which may make room
  serving_ = false;
  starved_ = free_.empty();
  if (starved_) return Served::waiting;
  return served < kShare && !was_full ? Served::all : Served::more;
}

void Scsi::RequestQueue::take(Chain& chain) noexcept {
  const std::uint32_t command_bytes = device_.command_bytes_.load(std::memory_order_relaxed);
  Command& command = *free_.back();
  command.response_bytes = static_cast<std::uint32_t>(sizeof(ScsiResponseHeader)) +
                           device_.sense_bytes_.load(std::memory_order_relaxed);
  Reader reader(chain.readable);
  ScsiRequestHeader header;
  std::array<std::byte, kMaximumCommandBytes> cdb{};
  const auto response_room = std::span(command.room->ranges).first(kMaximumResponseRanges);
  if (!reader.read_object(header) || !reader.read(std::span(cdb).first(command_bytes)) ||
      chain.writable_bytes < command.response_bytes ||
      !Reader(chain.writable).rest(response_room, command.response_bytes, command.response_ranges)) {
    // There is nobody to tell: the chain goes back empty.
    device_.count_malformed();
    chain.ticket.complete(0);
    returned_ = true;
    return;
  }
  free_.pop_back();
  command.ticket = std::move(chain.ticket);
  command.id = header.id;
  command.given_up = ScsiResponse::ok;
  command.kind = Kind::done;
  command.next_extent = command.extents = 0;
  command.left = 0;
  const Data data{.out = reader,
                  .out_bytes = reader.left(),
                  .writable = chain.writable,
                  .in_bytes = chain.writable_bytes - command.response_bytes};
  command.buffer_bytes = std::max(data.out_bytes, data.in_bytes);
  execute(command, header.lun, std::span(cdb).first(scsi::kMaximumCommand), data);
}

void Scsi::RequestQueue::execute(Command& command, const ScsiLun& lun, Cdb cdb, const Data& data) noexcept {
  const auto place = place_of(lun);
  if (!place || !device_.has_target(place->target)) return respond(command, ScsiResponse::bad_target);
  const bool reports = scsi::field8(cdb, 0) == scsi::kReportLuns;
  if (place->is_well_known || reports) {
    std::array<std::uint16_t, scsi::kMaximumReportedUnits> luns;
    const auto there_are = std::span(luns).first(device_.luns_of(place->target, luns));
    return carry_out(command,
                     reports ? target_.report_luns(cdb, there_are) : target_.well_known_unit(cdb, there_are),
                     data);
  }
  Unit* unit = device_.find(place->address());
  if (unit == nullptr) return carry_out(command, target_.absent_unit(cdb), data);
  execute_on(*unit, command, cdb, data);
}

void Scsi::RequestQueue::execute_on(Unit& unit, Command& command, Cdb cdb, const Data& data) noexcept {
  const std::uint8_t operation = scsi::field8(cdb, 0);
  const bool takes_attention = operation != scsi::kInquiry && operation != scsi::kRequestSense;
  if (takes_attention && unit.take_units_changed()) return fail(command, scsi::kUnitsChanged);
  const std::size_t wanted = unit.logical().parameter_bytes(cdb);
  Reader parameters = data.out;
  const auto given = std::span(parameters_).first(wanted);
  if (!parameters.read(given)) return respond(command, ScsiResponse::overrun);
  command.unit = &unit;
  carry_out(command, unit.logical().execute(cdb, given), data);
}

void Scsi::RequestQueue::carry_out(Command& command, const scsi::Answer& answer, const Data& data) noexcept {
  switch (answer.kind) {
    case Kind::done:
      return succeed(command, 0);
    case Kind::failed:
      return fail(command, answer.sense);
    case Kind::data:
      return give(command, answer.data, data);
    default:
      return begin(command, answer, data);
  }
}

void Scsi::RequestQueue::give(Command& command, std::span<const std::byte> bytes, const Data& data) noexcept {
  if (bytes.size() > data.in_bytes) return respond(command, ScsiResponse::overrun);
  Reader place(data.writable);
  const auto room = std::span(command.room->ranges).subspan(command.response_ranges);
  std::size_t count = 0;
  if (!place.skip(command.response_bytes) || !place.rest(room, bytes.size(), count))
    return respond(command, ScsiResponse::failure);
  Writer(room.first(count)).write(bytes);
  command.kind = Kind::read;  // its data goes to the driver
  succeed(command, bytes.size());
}

void Scsi::RequestQueue::begin(Command& command, const scsi::Answer& answer, const Data& data) noexcept {
  Unit& unit = *command.unit;
  command.unit = nullptr;
  command.kind = answer.kind;
  if (unit.is_full()) return respond(command, ScsiResponse::ok, ScsiStatus::task_set_full);
  const bool has_part = answer.kind != Kind::flush && answer.kind != Kind::discard;
  // The image may have become shorter than its drive knows.
  bool is_there = !has_part || unit.disk().contains(answer.offset, answer.length);
  for (const scsi::Extent& extent : answer.extents)
    is_there = is_there && unit.disk().contains(extent.offset, extent.length);
  if (!is_there || !unit.disk().has_image())
    return fail(command, answer.kind == Kind::read ? scsi::kUnrecoveredRead : scsi::kAddressOutOfRange);
  if (answer.kind == Kind::read && answer.length > data.in_bytes)
    return respond(command, ScsiResponse::overrun);
  if (answer.kind == Kind::write && answer.length > data.out_bytes)
    return respond(command, ScsiResponse::overrun);
  if (!gather(unit, command, answer, data)) return respond(command, ScsiResponse::failure);
  command.next_offset = answer.offset;
  command.left = answer.length;
  command.is_durable = answer.durable;
  command.unmaps = answer.may_unmap;
  command.extents = answer.extents.size();
  std::ranges::copy(answer.extents, command.room->extents.begin());
  unit.begin(command);
}

// Where the data lies, behind what is kept for the response. False for more ranges than a driver may use
// (seg_max, §5.6.4).
bool Scsi::RequestQueue::gather(Unit& unit, Command& command, const scsi::Answer& answer,
                                const Data& data) noexcept {
  const auto room = std::span(command.room->ranges).subspan(command.response_ranges);
  command.data_ranges = command.block_ranges = 0;
  if (answer.kind == Kind::read) {
    Reader place(data.writable);
    return place.skip(command.response_bytes) && place.rest(room, answer.length, command.data_ranges);
  }
  if (answer.kind == Kind::write) return data.out.rest(room, answer.length, command.data_ranges);
  if (answer.kind == Kind::fill) {
    return data.out.rest(room.first(kMaximumBlockRanges), unit.disk().options().logical_block_size,
                         command.block_ranges);
  }
  return true;
}

void Scsi::RequestQueue::succeed(Command& command, std::uint64_t transferred) noexcept {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  ScsiResponseHeader header;
  header.residual = static_cast<std::uint32_t>(
      std::min(kMost, command.buffer_bytes - std::min(transferred, command.buffer_bytes)));
  send(command, header, nullptr, command.kind == Kind::read ? transferred : 0);
}

void Scsi::RequestQueue::fail(Command& command, const scsi::Sense& sense) noexcept {
  ScsiResponseHeader header;
  header.status = static_cast<std::uint8_t>(ScsiStatus::check_condition);
  header.residual = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(command.buffer_bytes, std::numeric_limits<std::uint32_t>::max()));
  send(command, header, &sense, 0);
}

void Scsi::RequestQueue::respond(Command& command, ScsiResponse response, ScsiStatus status) noexcept {
  ScsiResponseHeader header;
  header.response = static_cast<std::uint8_t>(response);
  header.status = static_cast<std::uint8_t>(status);
  header.residual = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(command.buffer_bytes, std::numeric_limits<std::uint32_t>::max()));
  send(command, header, nullptr, 0);
}

// All of the place for sense is written: data that is read follows on it, and a used length covers both.
void Scsi::RequestQueue::send(Command& command, const ScsiResponseHeader& header, const scsi::Sense* sense,
                              std::uint64_t in_bytes) noexcept {
  std::array<std::byte, sizeof(ScsiResponseHeader) + kMaximumCommandBytes> bytes{};
  ScsiResponseHeader sent = header;
  const std::size_t sense_room = command.response_bytes - sizeof(ScsiResponseHeader);
  if (sense != nullptr) {
    const auto data = scsi::sense_data(*sense);
    const std::size_t size = std::min(data.size(), sense_room);
    std::copy_n(data.begin(), size, bytes.begin() + sizeof(ScsiResponseHeader));
    sent.sense_bytes = static_cast<std::uint32_t>(size);
  }
  std::ranges::copy(std::as_bytes(std::span(&sent, 1)), bytes.begin());
  Writer(std::span(command.room->ranges).first(command.response_ranges))
      .write(std::span(bytes).first(command.response_bytes));
  // A chain holds at most 2^32 bytes, the response among them.
  command.ticket.complete(static_cast<std::uint32_t>(command.response_bytes + in_bytes));
  command.unit = nullptr;
  command.kind = Kind::done;
  free_.push_back(&command);
  returned_ = true;
}

void Scsi::RequestQueue::drop(Command& command) noexcept {
  command.ticket.complete(0);
  command.unit = nullptr;
  free_.push_back(&command);
}

}  // namespace warren::vmm::virtio
