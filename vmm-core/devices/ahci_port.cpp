#include "vmm-core/devices/ahci_port.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "vmm-core/devices/ata_disk.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::ahci {
namespace {

constexpr std::uint32_t kNoDevice = 0x7f;    // the task file before a device has spoken
constexpr std::uint8_t kSoftReset = 1 << 2;  // of the device control register

constexpr std::uint32_t bit(unsigned number) noexcept {
  return std::uint32_t{1} << number;
}

bool is_queued(std::uint8_t command) noexcept {
  return command == ata::kReadFpdma || command == ata::kWriteFpdma;
}

}  // namespace

Port::Port(PortHost& host, unsigned number) : host_(host), number_(number) {
  reset();
}

Port::~Port() = default;

void Port::insert(Drive drive) {
  drive_ = std::move(drive);
  slots_.resize(kSlots);
  for (unsigned i = 0; i < kSlots; ++i) {
    slots_[i].number = i;
    slots_[i].iovecs.reserve(kMaximumRanges);
  }
  block::DiskClient& client = *this;
  stream_ = std::make_unique<block::DiskStream>(*drive_.disk, 0, kSlots, client);
  reset();
}

// --- Registers, lock held
// -------------------------------------------------------------------------------------

std::uint32_t Port::read(std::uint64_t offset) const noexcept {
  switch (offset) {
    case kCommandList:
      return static_cast<std::uint32_t>(state_.command_list);
    case kCommandListUpper:
      return static_cast<std::uint32_t>(state_.command_list >> 32);
    case kFrames:
      return static_cast<std::uint32_t>(state_.frames);
    case kFramesUpper:
      return static_cast<std::uint32_t>(state_.frames >> 32);
    case kPortInterruptStatus:
      return state_.interrupt_status;
    case kPortInterruptEnable:
      return state_.interrupt_enable;
    case kCommand:
      return state_.command;
    case kTaskFile:
      return state_.task_file;
    case kSignature:
      return state_.signature;
    case kLinkStatus:
      return state_.link_status;
    case kLinkControl:
      return state_.link_control;
    case kLinkError:
      return state_.link_error;
    case kActive:
      return state_.active;
    case kCommandIssue:
      return state_.issued;
    default:
      return 0;
  }
}

void Port::write(std::uint64_t offset, std::uint32_t value) noexcept {
  constexpr std::uint64_t kLow = 0xffff'ffff;
  switch (offset) {
    case kCommandList:
      state_.command_list = (state_.command_list & ~kLow) | (value & ~0x3ffU);
      break;
    case kCommandListUpper:
      state_.command_list = (state_.command_list & kLow) | std::uint64_t{value} << 32;
      break;
    case kFrames:
      state_.frames = (state_.frames & ~kLow) | (value & ~0xffU);
      break;
    case kFramesUpper:
      state_.frames = (state_.frames & kLow) | std::uint64_t{value} << 32;
      break;
    case kPortInterruptStatus:
      state_.interrupt_status &= ~(value & ~kDerivedInterrupts);
      host_.interrupts_changed();
      break;
    case kPortInterruptEnable:
      state_.interrupt_enable = value & kPortInterrupts;
      host_.interrupts_changed();
      break;
    case kCommand:
      write_command(value);
      break;
    case kLinkControl:
      write_link_control(value);
      break;
    case kLinkError:
      state_.link_error &= ~value;
      if ((state_.link_error & kExchanged) == 0) state_.interrupt_status &= ~kConnectChange;
      host_.interrupts_changed();
      break;
    case kActive:
      if ((state_.command & kStart) != 0) state_.active |= value;
      break;
    case kCommandIssue:
      if ((state_.command & kStart) == 0) break;
      state_.issued |= value;
      host_.wake();
      break;
    default:
      break;
  }
}

// §3.3.7. Spin-up and power are on, always: neither is supported to be else.
void Port::write_command(std::uint32_t value) noexcept {
  constexpr std::uint32_t kWritable = kStart | kFrameReceive | kIsAtapi | kAtapiLed;
  const std::uint32_t before = state_.command;
  std::uint32_t now = (before & ~kWritable) | (value & kWritable);
  if ((value & kOverride) != 0 && (before & kStart) == 0)
    state_.task_file &= ~std::uint32_t{ata::kBusy | ata::kDataRequest};
  if ((now & kStart) != 0) {
    now |= kListRunning;
  } else if ((before & kStart) != 0) {
    // §10.4.1: the list runs until the thread has let go of what it took from there.
    state_.issued = 0;
    state_.active = 0;
    now &= ~kSlotMask;
    stop_requested_ = true;
  }
  if ((now & kFrameReceive) != 0) {
    now |= kFramesRunning;
  } else if ((now & kStart) == 0) {
    now &= ~kFramesRunning;
  }
  state_.command = now;
  host_.wake();
}

// §10.4.2: the link is down while a reset of it is held, and comes up with a device that was reset.
void Port::write_link_control(std::uint32_t value) noexcept {
  const std::uint32_t before = state_.link_control & kDetectMask, now = value & kDetectMask;
  state_.link_control = value & 0xfff;
  if (now == before || drive_.device == nullptr) return;
  if (now == kDetectReset || now == kDetectOffline) {
    state_.link_status = now == kDetectOffline ? kDetectOffline : 0;
    state_.task_file = ata::kBusy | kNoDevice;
    stop_requested_ = true;
    state_.issued = 0;
    state_.active = 0;
  } else if (now == 0 && (before == kDetectReset || before == kDetectOffline)) {
    stop_requested_ = true;
    reset_requested_ = true;
  }
  host_.wake();
}

// A device was found at the end of the link, and has told what it is.
void Port::connect() noexcept {
  state_.link_status = kLinkUp;
  state_.signature = drive_.device->signature();
  set_task_file(drive_.device->reset_status(), 1);
  state_.owes_signature = true;
}

void Port::raise(std::uint32_t interrupts) noexcept {
  state_.interrupt_status |= interrupts;
  host_.interrupts_changed();
}

// --- The thread
// -----------------------------------------------------------------------------------------------

void Port::reset() noexcept {
  if (stream_) drop_commands();
  if (drive_.device) drive_.device->reset();
  again_ = 0;
  const std::lock_guard lock(host_.lock());
  state_ = {};
  state_.command = kSpinUp | kPowerOn;
  state_.task_file = kNoDevice;
  state_.signature = 0xffff'ffff;
  stop_requested_ = reset_requested_ = false;
  if (drive_.device) connect();
}

void Port::start(EventThread& thread) {
  if (!stream_ || running_) return;
  stream_->start(thread);
  running_ = true;
  pausing_ = false;
  for (Slot& slot : slots_) {
    if (!std::exchange(slot.parked, false)) continue;
    if (slot.action.kind == ata::Action::Kind::trim) {
      next_trim_range(slot);
    } else {
      begin_transfer(slot);
    }
  }
  service();
}

void Port::stop(EventThread& thread) noexcept {
  if (!running_) return;
  pausing_ = true;
  stream_->stop(thread);
  running_ = false;
}

// Forgets all that is in hand, as the guest has.
void Port::drop_commands() noexcept {
  dropping_ = true;
  stream_->drain();
  stream_->abandon();
  for (Slot& slot : slots_) slot.parked = false;
  begun_ = 0;
  exclusive_ = false;
  dropping_ = false;
}

void Port::replace_image(std::unique_ptr<block::Image> image, EventThread& thread) {
  pausing_ = true;
  stream_->drain();
  stream_->abandon();
  for (Slot& slot : slots_) {
    if (!std::exchange(slot.parked, false)) continue;
    const ata::Outcome outcome = drive_.device->end(true);
    complete(slot, outcome.status, outcome.error);
  }
  pausing_ = !running_;
  stream_->replace_image(std::move(image), running_ ? &thread : nullptr);
}

void Port::do_resets() noexcept {
  bool stops = false, resets = false;
  {
    const std::lock_guard lock(host_.lock());
    stops = std::exchange(stop_requested_, false);
    resets = std::exchange(reset_requested_, false);
  }
  if (stops) {
    drop_commands();
    if (resets) drive_.device->reset();
    const std::lock_guard lock(host_.lock());
    again_ = 0;
    state_.halted = false;
    if ((state_.command & kStart) == 0) state_.command &= ~kListRunning;
    if (resets) {
      state_.in_soft_reset = false;
      connect();
      state_.link_error |= kExchanged;
      raise(kConnectChange);
    }
  }
  post_signature();
}

// The frame in which a device introduces itself, as soon as there is a place for it (§3.3.9).
void Port::post_signature() noexcept {
  bool owes = false;
  {
    const std::lock_guard lock(host_.lock());
    if ((state_.command & kFrameReceive) != 0) owes = std::exchange(state_.owes_signature, false);
  }
  if (owes) register_frame(nullptr, drive_.device->reset_status(), 1, false, true);
}

void Port::service() noexcept {
  if (in_service_) return;
  if (!stream_) {
    // Nothing runs at an empty port; it stops at once.
    const std::lock_guard lock(host_.lock());
    stop_requested_ = reset_requested_ = false;
    if ((state_.command & kStart) == 0) state_.command &= ~kListRunning;
    return;
  }
  in_service_ = true;
  do_resets();
  while (running_) {
    const auto number = next_command();
    if (!number || !fetch(*number)) break;
  }
  stream_->kick();
  // What the page cache answered is done already; looking costs nothing. The next part of a transfer may have
  // begun by that, and nothing else would hand it to the host.
  stream_->reap();
  stream_->kick();
  in_service_ = false;
  const std::lock_guard lock(host_.lock());
  // What that has made room for.
  const std::uint32_t waiting = (state_.issued | again_) & ~begun_;
  if (waiting != 0 && begun_ == 0 && running_ && !state_.halted && host_.may_use_memory()) host_.wake();
}

std::optional<unsigned> Port::next_command() noexcept {
  const std::lock_guard lock(host_.lock());
  if (state_.halted || exclusive_ || (state_.command & kStart) == 0 || !host_.may_use_memory() ||
      state_.link_status != kLinkUp)
    return std::nullopt;
  const std::uint32_t waiting = (state_.issued | again_) & ~begun_;
  if (waiting == 0) return std::nullopt;
  return static_cast<unsigned>(std::countr_zero(waiting));
}

// Takes a command out of the list. False when it has to wait, or the port has come to a halt.
bool Port::fetch(unsigned number) noexcept {
  Slot& slot = slots_[number];
  std::uint64_t list = 0;
  {
    const std::lock_guard lock(host_.lock());
    list = state_.command_list;
  }
  // At most 2^64 - 2^10 + 31 * 32: no overflow.
  slot.header = list + number * sizeof(CommandHeader);
  const auto header = host_.memory().read_object<CommandHeader>({slot.header});
  if (!header) {
    break_off(slot, kHostBusFatal);
    return false;
  }
  slot.table = header->table & ~std::uint64_t{0x7f};
  slot.regions = header->regions;
  std::array<std::byte, kPacketOffset + ata::kPacket> table{};
  if (!host_.memory().read({slot.table}, table)) {
    break_off(slot, kHostBusFatal);
    return false;
  }
  std::memcpy(&slot.frame, table.data(), sizeof(slot.frame));
  if ((header->flags & kFrameDwords) * 4 < sizeof(slot.frame) || slot.frame.type != ata::kCommandFrameType ||
      (slot.frame.flags & 0xf) != 0) {
    break_off(slot, kInterfaceFatal);
    return false;
  }
  if ((slot.frame.flags & ata::kIsCommand) == 0) {
    if (begun_ != 0) return false;
    control_frame(slot.frame, *header, number);
    return true;
  }
  slot.queued = is_queued(slot.frame.command) && !drive_.device->takes_packets();
  if (!slot.queued && begun_ != 0) return false;
  begun_ |= bit(number);
  exclusive_ = !slot.queued;
  {
    const std::lock_guard lock(host_.lock());
    again_ &= ~bit(number);
    state_.command = (state_.command & ~kSlotMask) | number << kSlotShift;
    // A queued command is accepted at once, and done later (Serial ATA 3.0 §13.6.4).
    if (slot.queued) {
      state_.issued &= ~bit(number);
    } else {
      state_.task_file |= ata::kBusy;
    }
  }
  slot.clear();
  slot.action = drive_.device->execute(slot.frame, std::span(table).subspan<kPacketOffset, ata::kPacket>());
  slot.left = slot.action.length;
  slot.done = 0;
  slot.region = 0;
  slot.region_offset = 0;
  // Of a queued command the tag is the slot; another cannot be told when it is done.
  if (slot.queued && slot.frame.count_low >> 3 != number) slot.action = ata::abort_command();
  perform(slot);
  return true;
}

// §10.4.1: a software reset is two frames, one that sets the bit and one that clears it.
void Port::control_frame(const ata::CommandFrame& frame, const CommandHeader& header,
                         unsigned number) noexcept {
  const bool sets = (frame.control & kSoftReset) != 0;
  bool was_reset = false;
  {
    const std::lock_guard lock(host_.lock());
    state_.issued &= ~bit(number);
    again_ &= ~bit(number);
    if ((header.flags & kClearBusy) != 0) state_.task_file &= ~std::uint32_t{ata::kBusy};
    was_reset = state_.in_soft_reset && !sets;
    state_.in_soft_reset = sets;
  }
  if (!was_reset) return;
  drive_.device->reset();
  {
    const std::lock_guard lock(host_.lock());
    connect();
  }
  post_signature();
}

void Port::perform(Slot& slot) noexcept {
  using Kind = ata::Action::Kind;
  const ata::Action& action = slot.action;
  switch (action.kind) {
    case Kind::finish:
      return complete(slot, action.status, action.error);
    case Kind::give:
    case Kind::packet:
      return give(slot);
    case Kind::request:
      slot.counted = action.operation == block::Operation::read    ? block::Counted::read
                     : action.operation == block::Operation::write ? block::Counted::write
                                                                   : block::Counted::flush;
      return begin_transfer(slot);
    case Kind::trim: {
      std::size_t copied = 0;
      std::array<std::byte, kTrimRanges * sizeof(std::uint64_t)> bytes{};
      if (!copy(slot, bytes, false, copied) || copied != bytes.size()) return break_off(slot, kHostBusFatal);
      std::memcpy(trim_ranges_.data(), bytes.data(), bytes.size());
      slot.next_trim = 0;
      return next_trim_range(slot);
    }
    case Kind::reset: {
      const bool resets = (action.status & ata::kError) == 0;
      if (resets) drive_.device->reset();
      release(slot);
      {
        const std::lock_guard lock(host_.lock());
        if (resets) state_.issued &= ~bit(slot.number);
        state_.halted = !resets;
      }
      if (resets) return register_frame(nullptr, drive_.device->reset_status(), 1, true, true);
      return register_frame(nullptr, action.status, action.error, true, true);
    }
  }
}

// ACS-2 §7.6: 48 bits of address, 16 of count; an entry of no count says nothing.
void Port::next_trim_range(Slot& slot) noexcept {
  while (slot.next_trim < kTrimRanges) {
    const std::uint64_t range = trim_ranges_[slot.next_trim];
    const std::uint64_t sectors = range >> 48;
    const std::uint64_t sector = range & ((std::uint64_t{1} << 48) - 1);
    if (sectors == 0) {
      ++slot.next_trim;
      continue;
    }
    if (!drive_.disk->contains(sector * ata::kSector, sectors * ata::kSector))
      return complete(slot, ata::kReady | ata::kError, ata::kIdNotFound | ata::kAborted);
    if (pausing_) {
      slot.parked = true;
      return;
    }
    ++slot.next_trim;
    slot.clear();
    slot.operation = block::Operation::discard;
    slot.offset = sector * ata::kSector;
    slot.length = sectors * ata::kSector;
    return stream_->begin(slot);
  }
  complete(slot, ata::kIdle, 0);
}

void Port::begin_transfer(Slot& slot) noexcept {
  if (pausing_) {
    slot.parked = true;
    return;
  }
  const block::Counted counted = slot.counted;
  slot.clear();
  slot.counted = counted;
  slot.operation = slot.action.operation;
  slot.durable = slot.action.durable;
  if (slot.operation != block::Operation::flush) {
    switch (gather(slot)) {
      case Gathered::ok:
        break;
      case Gathered::no_memory:
        return break_off(slot, kHostBusFatal);
      case Gathered::too_short:
        return break_off(slot, kOverflow | kInterfaceFatal);
    }
    slot.offset = slot.action.offset + slot.done;
    slot.ranges = slot.iovecs;
    if (slot.operation == block::Operation::write) stream_->detect_zeroes(slot);
  }
  stream_->begin(slot);
}

// The next of the guest's memory that the transfer goes to, as much as one request takes, in whole sectors.
Port::Gathered Port::gather(Slot& slot) noexcept {
  slot.iovecs.clear();
  std::size_t pieces = 0;
  std::uint64_t taken = 0;
  while (taken < slot.left && slot.region < slot.regions && pieces < kMaximumRanges) {
    const auto region = host_.memory().read_object<Region>(
        {slot.table + kRegionsOffset + std::uint64_t{slot.region} * sizeof(Region)});
    if (!region) return Gathered::no_memory;
    const std::uint64_t bytes = std::uint64_t{region->count & kRegionCount} + 1;
    // The guest may have changed it since the last request.
    const std::uint64_t offset = std::min(slot.region_offset, bytes);
    const std::uint64_t length = std::min(bytes - offset, slot.left - taken);
    const auto address = GuestAddress{region->address & ~std::uint64_t{1}}.plus(offset);
    if (!address || !host_.memory().contains(*address, length)) return Gathered::no_memory;
    // All of it is memory: what is refused has no room.
    if (length != 0 && !host_.memory().slices(*address, length, slot.iovecs, kMaximumRanges)) break;
    pieces_[pieces++] = {slot.region, offset, length};
    taken += length;
    slot.region_offset = offset + length;
    if (slot.region_offset == bytes) {
      ++slot.region;
      slot.region_offset = 0;
    }
  }
  if (taken < slot.left && slot.region >= slot.regions) return Gathered::too_short;
  std::uint64_t excess = taken < slot.left ? taken % ata::kSector : 0;
  if (taken == excess) return Gathered::too_short;
  slot.length = taken - excess;
  for (std::uint64_t over = excess; over != 0;) {
    iovec& last = slot.iovecs.back();
    const std::uint64_t part = std::min<std::uint64_t>(over, last.iov_len);
    last.iov_len -= part;
    over -= part;
    if (last.iov_len == 0) slot.iovecs.pop_back();
  }
  // Back to where the last whole sector ends.
  while (excess != 0) {
    const Piece& piece = pieces_[--pieces];
    const std::uint64_t part = std::min(excess, piece.length);
    excess -= part;
    slot.region = piece.region;
    slot.region_offset = piece.offset + piece.length - part;
  }
  return Gathered::ok;
}

// `data` to or from the guest, from the first of its regions on, as far as they go.
bool Port::copy(Slot& slot, std::span<std::byte> data, bool to_guest, std::size_t& copied) noexcept {
  copied = 0;
  for (std::uint32_t index = 0; index < slot.regions && copied < data.size(); ++index) {
    const auto region = host_.memory().read_object<Region>(
        {slot.table + kRegionsOffset + std::uint64_t{index} * sizeof(Region)});
    if (!region) return false;
    const std::size_t length =
        std::min<std::size_t>(std::size_t{region->count & kRegionCount} + 1, data.size() - copied);
    const GuestAddress address{region->address & ~std::uint64_t{1}};
    const auto part = data.subspan(copied, length);
    if (to_guest ? !host_.memory().write(address, part) : !host_.memory().read(address, part)) return false;
    copied += length;
  }
  return true;
}

void Port::give(Slot& slot) noexcept {
  // What is given is the device's own; copy() only reads it then.
  const auto data = std::span(const_cast<std::byte*>(slot.action.data.data()), slot.action.data.size());
  std::size_t copied = 0;
  if (!copy(slot, data, true, copied)) return break_off(slot, kHostBusFatal);
  slot.done = copied;
  if (slot.action.kind == ata::Action::Kind::give) slot.action.programmed = true;
  complete(slot, slot.action.status, slot.action.error);
}

void Port::finished(block::DiskRequest& request, bool failed) noexcept {
  Slot& slot = static_cast<Slot&>(request);  // every request here is a slot's base
  stream_->count(slot, failed);
  if (dropping_) return;
  if (!failed && slot.action.kind == ata::Action::Kind::trim) return next_trim_range(slot);
  if (!failed && slot.operation != block::Operation::flush) {
    slot.done += slot.bytes;
    slot.left -= slot.bytes;
    if (slot.left != 0) return begin_transfer(slot);
  }
  const ata::Outcome outcome = drive_.device->end(failed);
  complete(slot, outcome.status, outcome.error);
}

void Port::abandoned(block::DiskRequest& request) noexcept {
  if (dropping_) return;
  Slot& slot = static_cast<Slot&>(request);
  const ata::Outcome outcome = drive_.device->end(true);
  complete(slot, outcome.status, outcome.error);
}

void Port::release(Slot& slot) noexcept {
  begun_ &= ~bit(slot.number);
  if (!slot.queued) exclusive_ = false;
}

// The transfer cannot be carried out; the port stands still until software starts it anew (§6.2.2).
void Port::break_off(Slot& slot, std::uint32_t interrupt) noexcept {
  release(slot);
  const std::lock_guard lock(host_.lock());
  state_.halted = true;
  state_.command = (state_.command & ~kSlotMask) | slot.number << kSlotShift;
  state_.task_file &= ~std::uint32_t{ata::kBusy};
  raise(interrupt);
}

void Port::complete(Slot& slot, std::uint8_t status, std::uint8_t error) noexcept {
  release(slot);
  if (slot.queued) return complete_queued(slot, status, error);
  const auto transferred = static_cast<std::uint32_t>(slot.done);
  // The header was read from there; where the guest has taken the memory away, there is nobody to tell.
  static_cast<void>(host_.memory().write_object({slot.header + kTransferredOffset}, transferred));
  const bool failed = (status & ata::kError) != 0;
  if (failed) {
    const std::lock_guard lock(host_.lock());
    state_.halted = true;
  }
  if (slot.action.programmed && !failed) {
    std::array<std::uint8_t, 20> frame{kPioFrameType, kFrameToHost | kFrameInterrupts, status, error};
    std::ranges::copy(slot.frame.address_low, frame.begin() + 4);
    frame[7] = slot.frame.device;
    std::ranges::copy(slot.frame.address_high, frame.begin() + 8);
    frame[15] = status;
    frame[16] = static_cast<std::uint8_t>(ata::kSector & 0xff);
    frame[17] = static_cast<std::uint8_t>(ata::kSector >> 8);
    store_frame(kPioFrameOffset, std::as_bytes(std::span(frame)));
    const std::lock_guard lock(host_.lock());
    set_task_file(status, error);
    state_.issued &= ~bit(slot.number);
    return raise(kPioFrame);
  }
  register_frame(&slot, status, error, true, false);
}

// Serial ATA 3.0 §13.6.4, §10.3.6: which are done comes in a frame of its own; after one that failed the
// others are the device's no more, and software asks for the log.
void Port::complete_queued(Slot& slot, std::uint8_t status, std::uint8_t error) noexcept {
  const bool failed = (status & ata::kError) != 0;
  {
    const std::lock_guard lock(host_.lock());
    if (state_.halted) return;
    if (failed) state_.halted = true;
  }
  if (failed) {
    // Every device without packets is a disk.
    static_cast<ata::Disk&>(*drive_.device).note_queued_error(slot.number, {status, error});
  }
  std::array<std::uint8_t, 8> frame{kDeviceBitsType, kFrameInterrupts,
                                    static_cast<std::uint8_t>(status & ~(ata::kBusy | ata::kDataRequest)),
                                    error};
  const std::uint32_t done = failed ? 0 : bit(slot.number);
  std::memcpy(frame.data() + 4, &done, sizeof(done));
  store_frame(kDeviceBitsOffset, std::as_bytes(std::span(frame)));
  const std::lock_guard lock(host_.lock());
  state_.active &= ~done;
  set_task_file(status, error);
  raise(kDeviceBitsFrame | (failed ? kTaskFileError : 0));
}

void Port::store_frame(std::uint64_t offset, std::span<const std::byte> frame) noexcept {
  std::uint64_t at = 0;
  {
    const std::lock_guard lock(host_.lock());
    if ((state_.command & kFrameReceive) == 0 || !host_.may_use_memory()) return;
    at = state_.frames + offset;  // at most 2^64 - 2^8 + 2^8 - 1
  }
  if (host_.memory().write({at}, frame)) return;
  const std::lock_guard lock(host_.lock());
  raise(kHostBusFatal);
}

// Serial ATA 3.0 §10.3.5. `slot`: whose address registers are shown; the device's signature otherwise.
void Port::register_frame(const Slot* slot, std::uint8_t status, std::uint8_t error, bool interrupts,
                          bool with_signature) noexcept {
  std::array<std::uint8_t, 20> frame{
      kRegisterFrameType, static_cast<std::uint8_t>(interrupts ? kFrameInterrupts : 0), status, error};
  if (with_signature) {
    const std::uint32_t signature = drive_.device->signature();
    frame[4] = static_cast<std::uint8_t>(signature >> 8);
    frame[5] = static_cast<std::uint8_t>(signature >> 16);
    frame[6] = static_cast<std::uint8_t>(signature >> 24);
    frame[12] = static_cast<std::uint8_t>(signature);
  } else if (slot != nullptr) {
    std::ranges::copy(slot->frame.address_low, frame.begin() + 4);
    frame[7] = slot->frame.device;
    std::ranges::copy(slot->frame.address_high, frame.begin() + 8);
    frame[12] = slot->action.count;
  }
  store_frame(kRegisterFrameOffset, std::as_bytes(std::span(frame)));
  const std::lock_guard lock(host_.lock());
  set_task_file(status, error);
  // Not before: who waits for this looks at the task file next (AHCI 1.3.1 §5.3, RegFIS).
  if (slot != nullptr && (status & ata::kError) == 0) state_.issued &= ~bit(slot->number);
  if (!interrupts) return;
  raise(kRegisterFrame | ((status & ata::kError) != 0 ? kTaskFileError : 0));
}

// --- State
// ----------------------------------------------------------------------------------------------------

PortState Port::save() const {
  const std::lock_guard lock(host_.lock());
  PortState state = state_;
  state.begun = begun_ | again_;
  return state;
}

void Port::restore(const PortState& state) {
  if ((state.command_list & 0x3ff) != 0 || (state.frames & 0xff) != 0 ||
      (drive_.device == nullptr && state.begun != 0)) {
    throw Error(std::errc::invalid_argument,
                "saved state of port " + std::to_string(number_) + " of an AHCI controller");
  }
  if (stream_) drop_commands();
  const std::lock_guard lock(host_.lock());
  state_ = state;
  state_.begun = 0;
  again_ = state.begun;
  stop_requested_ = (state_.command & (kListRunning | kStart)) == kListRunning;
}

void Port::inspect(InspectNode& node) const {
  {
    const std::lock_guard lock(host_.lock());
    node.add("command", state_.command);
    node.add("task_file", state_.task_file);
    node.add("issued", state_.issued);
    node.add("active", state_.active);
    node.add("halted", state_.halted);
  }
  if (!drive_.device) return;
  drive_.disk->inspect(node);
  drive_.device->inspect(node);
}

}  // namespace warren::vmm::ahci
