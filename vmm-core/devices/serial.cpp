#include "vmm-core/devices/serial.h"

#include <algorithm>

namespace warren::vmm {
namespace {

enum Register : unsigned {
  kData = 0,               // RBR, THR; divisor low with DLAB
  kInterruptEnable = 1,    // IER; divisor high with DLAB
  kInterruptIdentify = 2,  // IIR when read, FCR when written
  kLineControl = 3,
  kModemControl = 4,
  kLineStatus = 5,
  kModemStatus = 6,
  kScratch = 7,
};

constexpr std::uint8_t kEnableReceive = 0x01, kEnableTransmit = 0x02, kEnableLine = 0x04, kEnableModem = 0x08;
constexpr std::uint8_t kDivisorAccess = 0x80;
constexpr std::uint8_t kFifoEnable = 0x01, kFifoClearReceive = 0x02, kFifoClearTransmit = 0x04;
constexpr std::uint8_t kDtr = 0x01, kRts = 0x02, kOut1 = 0x04, kOut2 = 0x08, kLoop = 0x10;
constexpr std::uint8_t kDataReady = 0x01, kOverrun = 0x02, kTransmitEmpty = 0x20, kTransmitterIdle = 0x40;
constexpr std::uint8_t kCts = 0x10, kDsr = 0x20, kRing = 0x40, kCarrier = 0x80;
// IIR, in descending priority (data sheet, table IV).
constexpr std::uint8_t kNoInterrupt = 0x01, kLineInterrupt = 0x06, kReceiveInterrupt = 0x04,
                       kTimeoutInterrupt = 0x0c, kTransmitInterrupt = 0x02, kModemInterrupt = 0x00,
                       kFifosOn = 0xc0;

std::uint8_t trigger_level(std::uint8_t fifo_control) noexcept {
  constexpr std::array<std::uint8_t, 4> kLevels = {1, 4, 8, 14};
  return kLevels[fifo_control >> 6];
}

}  // namespace

bool Serial::Fifo::push(std::uint8_t byte) noexcept {
  if (count == kFifoSize) return false;
  bytes[(first + count) % kFifoSize] = byte;
  ++count;
  return true;
}

std::uint8_t Serial::Fifo::pop() noexcept {
  if (count == 0) return 0;
  const std::uint8_t byte = bytes[first];
  first = static_cast<std::uint8_t>((first + 1) % kFifoSize);
  --count;
  return byte;
}

Serial::Serial(std::string name, std::unique_ptr<InterruptLine> interrupt, CharacterBackend& backend)
    : name_(std::move(name)), interrupt_(std::move(interrupt)), backend_(backend) {
  backend_.set_listener(this);
}

// A wide access reaches one register after the other, as the byte-wide ports of the bus do.
void Serial::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& byte : data) byte = static_cast<std::byte>(read_register(static_cast<unsigned>(offset++ % 8)));
}

void Serial::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  for (const auto byte : data) {
    write_register(static_cast<unsigned>(offset++ % 8), std::to_integer<std::uint8_t>(byte));
  }
}

std::uint8_t Serial::read_register(unsigned index) noexcept {
  const bool divisor = (state_.line_control & kDivisorAccess) != 0;
  switch (index) {
    case kData: {
      if (divisor) return state_.divisor_low;
      const bool was_full = state_.receive.count >= receive_size();
      const std::uint8_t byte = state_.receive.pop();
      if (was_full && !loops_back()) backend_.resume_input();
      update_interrupt();
      return byte;
    }
    case kInterruptEnable:
      return divisor ? state_.divisor_high : state_.interrupt_enable;
    case kInterruptIdentify: {
      const std::uint8_t identification = interrupt_identification();
      // Reading the identification answers a transmitter interrupt, no other (data sheet §8.4).
      if ((identification & 0x0f) == kTransmitInterrupt) state_.transmit_interrupt = false;
      update_interrupt();
      return identification;
    }
    case kLineControl:
      return state_.line_control;
    case kModemControl:
      return state_.modem_control;
    case kLineStatus: {
      const std::uint8_t status = line_status();
      state_.overrun = false;
      update_interrupt();
      return status;
    }
    case kModemStatus: {
      const std::uint8_t status = modem_status();
      state_.modem_status_changes = 0;
      update_interrupt();
      return status;
    }
    default:
      return state_.scratch;
  }
}

void Serial::write_register(unsigned index, std::uint8_t value) noexcept {
  const bool divisor = (state_.line_control & kDivisorAccess) != 0;
  switch (index) {
    case kData:
      if (divisor) {
        state_.divisor_low = value;
      } else {
        transmit(value);
      }
      break;
    case kInterruptEnable:
      if (divisor) {
        state_.divisor_high = value;
        break;
      }
      // Enabling the transmitter interrupt while the transmitter is empty raises it.
      if ((value & ~state_.interrupt_enable & kEnableTransmit) != 0 && state_.transmit.count == 0) {
        state_.transmit_interrupt = true;
      }
      state_.interrupt_enable = value & 0x0f;
      break;
    case kInterruptIdentify:
      write_fifo_control(value);
      break;
    case kLineControl:
      state_.line_control = value;
      break;
    case kModemControl:
      write_modem_control(value);
      break;
    case kScratch:
      state_.scratch = value;
      break;
    default:
      break;  // LSR and MSR: written in factory tests only
  }
  update_interrupt();
}

void Serial::transmit(std::uint8_t byte) noexcept {
  state_.transmit_interrupt = false;
  if (loops_back()) {
    if (state_.receive.count >= receive_size() || !state_.receive.push(byte)) state_.overrun = true;
    state_.transmit_interrupt = true;
    return;
  }
  if (!state_.transmit.push(byte)) ++lost_;  // the guest did not wait for THRE
  flush_transmit();
}

void Serial::flush_transmit() noexcept {
  while (state_.transmit.count != 0) {
    const std::byte byte{state_.transmit.bytes[state_.transmit.first]};
    if (backend_.write({&byte, 1}) == 0) return;
    state_.transmit.pop();
    ++transmitted_;
  }
  state_.transmit_interrupt = true;
}

void Serial::write_fifo_control(std::uint8_t value) noexcept {
  const bool changes = ((value ^ state_.fifo_control) & kFifoEnable) != 0;
  if (changes || (value & kFifoClearReceive) != 0) {
    const bool had_bytes = state_.receive.count != 0;
    state_.receive.clear();
    if (had_bytes) backend_.resume_input();
  }
  if (changes || (value & kFifoClearTransmit) != 0) {
    state_.transmit.clear();
    state_.transmit_interrupt = true;
  }
  // Without the enable bit the others are not programmed.
  state_.fifo_control = (value & kFifoEnable) != 0 ? value & 0xc9 : 0;
}

void Serial::write_modem_control(std::uint8_t value) noexcept {
  const std::uint8_t before = modem_status();
  const bool looped = loops_back();
  state_.modem_control = value & 0x1f;
  const std::uint8_t after = modem_status();
  const std::uint8_t changed = (before ^ after) & 0xf0;
  // Delta bits are below their lines; the ring bit counts only its trailing edge.
  std::uint8_t deltas = static_cast<std::uint8_t>(changed >> 4);
  if ((after & kRing) != 0) deltas &= static_cast<std::uint8_t>(~(kRing >> 4));
  state_.modem_status_changes |= deltas;
  if (looped && !loops_back()) backend_.resume_input();
}

std::uint8_t Serial::line_status() const noexcept {
  std::uint8_t status = 0;
  if (state_.receive.count != 0) status |= kDataReady;
  if (state_.overrun) status |= kOverrun;
  if (state_.transmit.count == 0) status |= kTransmitEmpty | kTransmitterIdle;
  return status;
}

std::uint8_t Serial::modem_status() const noexcept {
  std::uint8_t lines = kCts | kDsr | kCarrier;  // a cable with somebody at its end
  if (loops_back()) {
    lines = 0;
    if ((state_.modem_control & kRts) != 0) lines |= kCts;
    if ((state_.modem_control & kDtr) != 0) lines |= kDsr;
    if ((state_.modem_control & kOut1) != 0) lines |= kRing;
    if ((state_.modem_control & kOut2) != 0) lines |= kCarrier;
  }
  return lines | state_.modem_status_changes;
}

std::uint8_t Serial::interrupt_identification() const noexcept {
  const std::uint8_t fifos = fifos_enabled() ? kFifosOn : 0;
  const std::uint8_t enabled = state_.interrupt_enable;
  if ((enabled & kEnableLine) != 0 && state_.overrun) return fifos | kLineInterrupt;
  if ((enabled & kEnableReceive) != 0 && state_.receive.count != 0) {
    // Below the trigger level the guest is told by the character timeout, which here passes at once.
    const bool triggered = !fifos_enabled() || state_.receive.count >= trigger_level(state_.fifo_control);
    return fifos | (triggered ? kReceiveInterrupt : kTimeoutInterrupt);
  }
  if ((enabled & kEnableTransmit) != 0 && state_.transmit_interrupt) return fifos | kTransmitInterrupt;
  if ((enabled & kEnableModem) != 0 && state_.modem_status_changes != 0) return fifos | kModemInterrupt;
  return fifos | kNoInterrupt;
}

bool Serial::fifos_enabled() const noexcept {
  return (state_.fifo_control & kFifoEnable) != 0;
}
bool Serial::loops_back() const noexcept {
  return (state_.modem_control & kLoop) != 0;
}
std::size_t Serial::receive_size() const noexcept {
  return fifos_enabled() ? kFifoSize : 1;
}

void Serial::update_interrupt() noexcept {
  interrupt_->set((interrupt_identification() & kNoInterrupt) == 0);
}

std::size_t Serial::receive_capacity() noexcept {
  const std::lock_guard lock(mutex_);
  // In loop-back the line in is disconnected; its bytes wait.
  if (loops_back() || state_.receive.count >= receive_size()) return 0;
  return receive_size() - state_.receive.count;
}

void Serial::receive(std::span<const std::byte> bytes) noexcept {
  const std::lock_guard lock(mutex_);
  for (const auto byte : bytes) {
    if (state_.receive.count >= receive_size() || !state_.receive.push(std::to_integer<std::uint8_t>(byte))) {
      state_.overrun = true;
      ++lost_;
    }
  }
  received_ += bytes.size();
  update_interrupt();
}

void Serial::output_ready() noexcept {
  const std::lock_guard lock(mutex_);
  flush_transmit();
  update_interrupt();
}

void Serial::reset() noexcept {
  const std::lock_guard lock(mutex_);
  state_ = {};
  update_interrupt();
  backend_.resume_input();
}

Serial::State Serial::save() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void Serial::restore(const State& state) {
  const std::lock_guard lock(mutex_);
  state_ = state;
  for (Fifo* fifo : {&state_.receive, &state_.transmit}) {
    fifo->first %= kFifoSize;
    fifo->count = std::min<std::uint8_t>(fifo->count, kFifoSize);
  }
  update_interrupt();
}

void Serial::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("ier", std::uint64_t{state_.interrupt_enable});
  node.add("iir", std::uint64_t{interrupt_identification()});
  node.add("lcr", std::uint64_t{state_.line_control});
  node.add("mcr", std::uint64_t{state_.modem_control});
  node.add("lsr", std::uint64_t{line_status()});
  node.add("receive_fifo", std::uint64_t{state_.receive.count});
  node.add("transmit_fifo", std::uint64_t{state_.transmit.count});
  node.add("transmitted", transmitted_);
  node.add("received", received_);
  node.add("lost", lost_);
}

}  // namespace warren::vmm
