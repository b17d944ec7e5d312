#include "vmm-core/virtio/input.h"

#include <algorithm>
#include <cstring>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/host_input.h"

namespace warren::vmm::virtio {
namespace {

// virtio_input_config (§5.8.4).
constexpr std::size_t kSelect = 0, kSubselect = 1, kSize = 2, kAnswer = 8, kAnswerBytes = 128;
enum Selection : std::uint8_t {
  kName = 0x01,
  kSerial = 0x02,
  kIdentity = 0x03,
  kProperties = 0x10,
  kEvents = 0x11,
  kAxis = 0x12,
};
using Answer = std::span<std::byte, kAnswerBytes>;

struct Identity {
  std::uint16_t bus, vendor, product, version;
};
static_assert(sizeof(Identity) == 8);
struct Axis {
  std::int32_t minimum, maximum, fuzz, flat, resolution;
};
static_assert(sizeof(Axis) == 20);

std::size_t put(Answer answer, std::span<const std::byte> bytes) noexcept {
  const std::size_t size = std::min(bytes.size(), answer.size());
  std::memcpy(answer.data(), bytes.data(), size);
  return size;
}

// As many bytes as the highest of the codes needs.
std::size_t put_bits(Answer answer, const std::vector<std::uint16_t>& codes) noexcept {
  std::size_t size = 0;
  for (const std::uint16_t code : codes) {
    if (code >= kInputCodes) continue;
    answer[code / 8U] |= std::byte{1} << code % 8;
    size = std::max<std::size_t>(size, code / 8U + 1U);
  }
  return size;
}

// Nothing for what the device does not have: a size of 0 says so.
std::size_t put_answer(Answer answer, const InputDescription& device, std::uint8_t select,
                       std::uint8_t subselect) noexcept {
  if (select == kEvents) {
    const auto found = device.events.find(subselect);
    return found == device.events.end() ? 0 : put_bits(answer, found->second);
  }
  if (select == kAxis) {
    const auto found = std::ranges::find(device.axes, subselect, &InputAxis::code);
    if (found == device.axes.end()) return 0;
    const Axis axis{found->minimum, found->maximum, found->fuzz, found->flat, found->resolution};
    return put(answer, std::as_bytes(std::span(&axis, 1)));
  }
  if (subselect != 0) return 0;
  const Identity identity{device.bus, device.vendor, device.product, device.version};
  switch (select) {
    case kName:
      return put(answer, std::as_bytes(std::span(device.name)));
    case kSerial:
      return put(answer, std::as_bytes(std::span(device.serial)));
    case kIdentity:
      return put(answer, std::as_bytes(std::span(&identity, 1)));
    case kProperties:
      return put_bits(answer, device.properties);
    default:
      return 0;
  }
}

std::uint64_t next_activation() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

Input::Input(std::string name, InputDescription description, std::unique_ptr<HostInput> host,
             std::vector<EventThread*> threads)
    : ServedDevice(std::move(name), std::move(threads)),
      description_(std::move(description)),
      host_(std::move(host)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_) throw_errno(this->name() + ": wake");
}

Input::~Input() {
  deactivate();
}

bool Input::send(std::span<const InputEvent> frame) noexcept {
  bool taken = false;
  {
    const std::lock_guard lock(mutex_);
    if (activation() == 0) return false;
    taken = push(frame);
  }
  if (taken) wake();
  return taken;
}

void Input::release_keys() noexcept {
  {
    const std::lock_guard lock(mutex_);
    down_.reset();
    push_releases();
  }
  wake();
}

// With the lock held.
bool Input::push(std::span<const InputEvent> frame) noexcept {
  const bool fits = frame.size() < kPendingEvents - count_;
  const auto note_key = [&](const InputEvent& event) {
    if (event.type != kEventKey || event.code >= kKeys) return;
    down_.set(event.code, event.value != 0);
    if (fits) told_down_.set(event.code, event.value != 0);
  };
  std::ranges::for_each(frame, note_key);
  if (!fits) {
    lost_ = true;
    dropped_frames_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  const auto append = [&](const InputEvent& event) {
    pending_[(first_ + count_++) % kPendingEvents] = event;
  };
  std::ranges::for_each(frame, append);
  append({kEventSynchronize, kSynchronizeReport, 0});
  return true;
}

// With the lock held. Where nothing is pending, the releases of all keys fit; else what does not is lost
// again.
void Input::push_releases() noexcept {
  static_assert(kKeys < kPendingEvents);
  std::array<InputEvent, kKeys> releases;
  std::size_t count = 0;
  for (std::size_t key = 0; key < kKeys; ++key)
    if (told_down_[key] && !down_[key]) releases[count++] = {kEventKey, static_cast<std::uint16_t>(key), 0};
  lost_ = false;
  if (count != 0) push(std::span(releases).first(count));
}

void Input::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof(one));
}

void Input::on_event(std::uint32_t) noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof(count));
  if (is_running(kEventQueue)) work(kEventQueue);
}

ServedDevice::Served Input::serve(std::uint16_t index) noexcept {
  return index == kEventQueue ? serve_events() : serve_status();
}

ServedDevice::Served Input::serve_events() noexcept {
  Chain chain;
  for (unsigned served = 0; served < kShare; ++served) {
    InputEvent event;
    {
      const std::lock_guard lock(mutex_);
      if (count_ == 0 && lost_) push_releases();
      if (count_ == 0) return Served::waiting;
      event = pending_[first_];
    }
    if (!queue(kEventQueue).pop(chain)) return Served::all;
    if (chain.writable_bytes < sizeof(event)) {
      malformed_.fetch_add(1, std::memory_order_relaxed);
      chain.ticket.complete(0);
      continue;
    }
    Writer writer(chain.writable);
    writer.write(std::as_bytes(std::span(&event, 1)));
    chain.ticket.complete(sizeof(event));
    sent_.fetch_add(1, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    first_ = (first_ + 1) % kPendingEvents;
    --count_;
  }
  return Served::more;
}

ServedDevice::Served Input::serve_status() noexcept {
  Chain chain;
  for (unsigned served = 0; served < kShare; ++served) {
    if (!queue(kStatusQueue).pop(chain)) return Served::all;
    InputEvent event;
    if (Reader(chain.readable).read_object(event)) {
      take_status(event);
    } else {
      malformed_.fetch_add(1, std::memory_order_relaxed);
    }
    chain.ticket.complete(0);
  }
  return Served::more;
}

void Input::take_status(const InputEvent& event) noexcept {
  if (event.type == kEventLed && event.code < kLeds) {
    const std::uint32_t bit = std::uint32_t{1} << event.code;
    if (event.value != 0) {
      leds_.fetch_or(bit, std::memory_order_relaxed);
    } else {
      leds_.fetch_and(~bit, std::memory_order_relaxed);
    }
  }
  // A guest says nothing to a device of the host but what it has, and no keys, which would be its user's.
  const bool is_output = event.type != kEventKey && event.type != kEventRelative &&
                         event.type != kEventAbsolute && event.type != kEventSynchronize;
  if (host_ && is_output && takes(event.type, event.code)) host_->write(event);
}

void Input::started(std::uint16_t index) noexcept {
  if (index != kEventQueue) return;
  EventThread& thread = thread_of(index);
  const bool is_new = activation() == 0;
  try {
    thread.add(wake_.get(), EPOLLIN, *this);
    if (host_) {
      if (is_new) host_->drain();
      host_->start(thread, *this);
    }
  } catch (const Error&) {
    host()->request_reset();
    return;
  }
  const std::lock_guard lock(mutex_);
  if (is_new) activation_.store(next_activation(), std::memory_order_release);
}

void Input::stopped(std::uint16_t index) noexcept {
  if (index != kEventQueue) return;
  thread_of(index).remove(wake_.get());
  if (host_) host_->stop(thread_of(index));
}

// A driver that comes knows of no key and no LED.
void Input::forget() noexcept {
  const std::lock_guard lock(mutex_);
  activation_.store(0, std::memory_order_release);
  first_ = count_ = 0;
  down_.reset();
  told_down_.reset();
  lost_ = false;
  leds_.store(0, std::memory_order_relaxed);
}

void Input::deactivate() noexcept {
  ServedDevice::deactivate();
  forget();
}

void Input::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  std::array<std::byte, kAnswer + kAnswerBytes> configuration{};
  const std::uint8_t select = select_.load(std::memory_order_relaxed),
                     subselect = subselect_.load(std::memory_order_relaxed);
  configuration[kSelect] = std::byte{select};
  configuration[kSubselect] = std::byte{subselect};
  const auto answer = std::span(configuration).subspan<kAnswer, kAnswerBytes>();
  configuration[kSize] = static_cast<std::byte>(put_answer(answer, description_, select, subselect));
  read_bytes(configuration, offset, data);
}

void Input::write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  for (const std::byte byte : data) {
    if (offset == kSelect) select_.store(std::to_integer<std::uint8_t>(byte), std::memory_order_relaxed);
    if (offset == kSubselect)
      subselect_.store(std::to_integer<std::uint8_t>(byte), std::memory_order_relaxed);
    ++offset;
  }
}

Input::State Input::save() const {
  const std::lock_guard lock(mutex_);
  State state{.select = select_.load(std::memory_order_relaxed),
              .subselect = subselect_.load(std::memory_order_relaxed),
              .leds = leds(),
              .keys_down = {},
              .pending = {}};
  for (std::size_t key = 0; key < kKeys; ++key)
    if (told_down_[key]) state.keys_down.push_back(static_cast<std::uint16_t>(key));
  for (std::size_t i = 0; i < count_; ++i) state.pending.push_back(pending_[(first_ + i) % kPendingEvents]);
  return state;
}

// Keys are not held over a save: whoever held them is not there any more.
void Input::restore(const State& state) {
  constexpr InputEvent kEnd{kEventSynchronize, kSynchronizeReport, 0};
  const auto is_key = [](std::uint16_t key) { return key < kKeys; };
  if (state.version != 1 || state.pending.size() > kPendingEvents ||
      !std::ranges::all_of(state.keys_down, is_key) ||
      (!state.pending.empty() && state.pending.back() != kEnd)) {
    throw Error(std::errc::invalid_argument, name() + ": a state of another device");
  }
  const std::lock_guard lock(mutex_);
  select_.store(state.select, std::memory_order_relaxed);
  subselect_.store(state.subselect, std::memory_order_relaxed);
  leds_.store(state.leds, std::memory_order_relaxed);
  std::ranges::copy(state.pending, pending_.begin());
  first_ = 0;
  count_ = state.pending.size();
  down_.reset();
  told_down_.reset();
  for (const std::uint16_t key : state.keys_down) told_down_.set(key);
  lost_ = true;
}

void Input::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  node.add("product", description_.name);
  node.add("listening", activation() != 0);
  node.add("leds", std::uint64_t{leds()});
  node.add("sent", sent_.load(std::memory_order_relaxed));
  node.add("dropped_frames", dropped_frames_.load(std::memory_order_relaxed));
  node.add("malformed", malformed_.load(std::memory_order_relaxed));
  if (host_) node.add("host_device_gone", host_->is_gone());
  const std::lock_guard lock(mutex_);
  node.add("pending", std::uint64_t{count_});
  node.add("keys_down", std::uint64_t{told_down_.count()});
}

}  // namespace warren::vmm::virtio
