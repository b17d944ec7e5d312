#include "vmm-core/virtio/memory_device.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "vmm-core/os/error.h"

namespace warren::vmm::virtio {

static_assert(std::endian::native == std::endian::little, "requests are copied as they are");

namespace {

// §5.15.3
constexpr std::uint64_t kFeatureNode = std::uint64_t{1} << 0;
constexpr std::uint64_t kFeatureInaccessible = std::uint64_t{1} << 1;

// §5.15.6
enum RequestType : std::uint16_t { kPlug = 0, kUnplug = 1, kUnplugAll = 2, kState = 3 };
enum ResponseType : std::uint16_t { kAcknowledged = 0, kDenied = 1, kBusy = 2, kError = 3 };

struct Request {
  std::uint16_t type = 0;
  std::uint16_t padding0[3] = {};
  std::uint64_t address = 0;
  std::uint16_t blocks = 0;
  std::uint16_t padding1[3] = {};
};
static_assert(sizeof(Request) == 24);

struct Response {
  std::uint16_t type = kError;
  std::uint16_t padding[3] = {};
  std::uint16_t state = 0;
};
static_assert(sizeof(Response) == 10);

// How far beyond what is requested a driver may look for room: memory that it cannot bring up, or that it has
// plugged before, leaves it others. As much as two memory blocks of a Linux.
constexpr std::uint64_t kUsableExtent = std::uint64_t{256} << 20;

}  // namespace

MemoryDevice::MemoryDevice(std::string name, DeviceMemory& memory, const MemoryDeviceOptions& options,
                           std::vector<EventThread*> threads)
    : ServedDevice(std::move(name), std::move(threads)),
      memory_(memory),
      node_(options.node),
      requested_(options.requested_bytes) {
  if (memory_.block_bytes() == 0 || options.requested_bytes % memory_.block_bytes() != 0 ||
      options.requested_bytes > memory_.size()) {
    throw Error(std::errc::invalid_argument, this->name() + ": " + std::to_string(options.requested_bytes) +
                                                 " bytes are more than it has, or no whole number of blocks");
  }
  adjust_usable(true);
}

MemoryDevice::~MemoryDevice() {
  ServedDevice::deactivate();
}

std::uint64_t MemoryDevice::features() const noexcept {
  return kFeatureInaccessible | (node_ ? kFeatureNode : 0);
}

// Memory beyond the usable part cannot be plugged; it never becomes less than what may be plugged already.
void MemoryDevice::adjust_usable(bool may_shrink) noexcept {
  // The control thread and the device's do: the last one has seen the newest request.
  const std::lock_guard lock(sizes_);
  const std::uint64_t requested = requested_.load(std::memory_order_relaxed);
  std::uint64_t usable = 0;
  if (requested != 0) {
    const std::uint64_t block = memory_.block_bytes();
    const std::uint64_t extent = (kUsableExtent + block - 1) / block * block;
    usable = std::min(memory_.size(), requested + extent);  // both far below 2^63
  }
  if (!may_shrink) usable = std::max(usable, usable_.load(std::memory_order_relaxed));
  usable_.store(usable, std::memory_order_release);
}

void MemoryDevice::request(std::uint64_t bytes) noexcept {
  requested_.store(bytes, std::memory_order_relaxed);
  adjust_usable(false);
  if (DeviceHost* transport = host()) transport->signal_configuration();
}

ServedDevice::Served MemoryDevice::serve(std::uint16_t index) noexcept {
  Chain chain;
  // Each may take a while: discarding gigabytes, or a slot of KVM's.
  constexpr unsigned kFew = 16;
  for (unsigned served = 0; served < kFew; ++served) {
    if (!queue(index).pop(chain)) return Served::all;
    chain.ticket.complete(answer(chain));
  }
  return Served::more;
}

std::uint32_t MemoryDevice::answer(const Chain& chain) noexcept {
  Reader reader(chain.readable);
  Request request;
  if (!reader.read_object(request) || chain.writable_bytes < sizeof(Response)) {
    malformed_.fetch_add(1, std::memory_order_relaxed);
    return 0;
  }
  Response response;
  const std::uint64_t block = memory_.block_bytes();
  std::uint64_t offset = 0, end = 0;
  const std::uint64_t size = std::uint64_t{request.blocks} * block;  // below 2^16 * 2^40
  // Also of addresses below the device, which wrap to large offsets.
  offset = request.address - memory_.address().value;
  const bool is_range = size != 0 && offset % block == 0 && !__builtin_add_overflow(offset, size, &end) &&
                        end <= usable_.load(std::memory_order_acquire);
  const std::uint64_t first = offset / block, count = request.blocks;
  if (request.type == kUnplugAll) {
    memory_.unplug_all();
    adjust_usable(true);
    response.type = kAcknowledged;
  } else if (is_range && (request.type == kPlug || request.type == kUnplug)) {
    response.type = change(first, count, request.type == kPlug);
  } else if (is_range && request.type == kState) {
    response.type = kAcknowledged;
    response.state = static_cast<std::uint16_t>(memory_.state(first, count));
  }
  if (response.type == kError) malformed_.fetch_add(1, std::memory_order_relaxed);
  Writer writer(chain.writable);
  writer.write(std::as_bytes(std::span(&response, 1)));
  return static_cast<std::uint32_t>(writer.written());
}

// §5.15.6.1 to §5.15.6.3
std::uint16_t MemoryDevice::change(std::uint64_t first, std::uint64_t count, bool plugs) noexcept {
  using enum DeviceMemory::State;
  const std::uint64_t size = count * memory_.block_bytes();
  if (plugs) {
    const std::uint64_t requested = requested_.load(std::memory_order_relaxed);
    const std::uint64_t plugged = memory_.plugged_bytes();
    if (plugged > requested || size > requested - plugged) {
      denied_.fetch_add(1, std::memory_order_relaxed);
      return kDenied;
    }
  }
  if (memory_.state(first, count) != (plugs ? unplugged : DeviceMemory::State::plugged)) return kError;
  if (!plugs) {
    memory_.unplug(first, count);
    return kAcknowledged;
  }
  if (memory_.plug(first, count)) return kAcknowledged;
  failed_.fetch_add(1, std::memory_order_relaxed);
  return kBusy;
}

static_assert(static_cast<int>(DeviceMemory::State::plugged) == 0 &&
                  static_cast<int>(DeviceMemory::State::unplugged) == 1 &&
                  static_cast<int>(DeviceMemory::State::mixed) == 2,
              "as VIRTIO_MEM_STATE_* (§5.15.6.5)");

void MemoryDevice::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::array<std::uint64_t, kConfigurationBytes / 8> words = {
      memory_.block_bytes(),
      node_.value_or(0),
      memory_.address().value,
      memory_.size(),
      usable_.load(std::memory_order_acquire),
      memory_.plugged_bytes(),
      requested_.load(std::memory_order_relaxed)};
  read_bytes(std::as_bytes(std::span(words)), offset, data);
}

void MemoryDevice::deactivate() noexcept {
  ServedDevice::deactivate();
  if (memory_.plugged_bytes() == 0) adjust_usable(true);
}

MemoryDevice::State MemoryDevice::save() const {
  State state{.version = 1,
              .block_bytes = memory_.block_bytes(),
              .requested_bytes = requested_.load(std::memory_order_relaxed),
              .usable_bytes = usable_.load(std::memory_order_relaxed),
              .plugged = {}};
  const std::uint64_t blocks = memory_.size() / memory_.block_bytes();
  for (std::uint64_t i = 0; i < blocks; ++i)
    state.plugged.push_back(memory_.state(i, 1) == DeviceMemory::State::plugged);
  return state;
}

void MemoryDevice::restore(const State& state) {
  const std::uint64_t block = memory_.block_bytes();
  if (state.version != 1 || state.block_bytes != block || state.plugged.size() != memory_.size() / block ||
      state.requested_bytes % block != 0 || state.requested_bytes > memory_.size() ||
      state.usable_bytes % block != 0 || state.usable_bytes > memory_.size()) {
    throw Error(std::errc::invalid_argument, name() + ": a state of another device");
  }
  memory_.unplug_all();
  for (std::uint64_t i = 0; i < state.plugged.size(); ++i) {
    if (!state.plugged[i] || memory_.plug(i, 1)) continue;
    memory_.unplug_all();
    throw Error(std::errc::not_enough_memory, name() + ": the host has no memory for what was plugged");
  }
  requested_.store(state.requested_bytes, std::memory_order_relaxed);
  usable_.store(state.usable_bytes, std::memory_order_release);
}

void MemoryDevice::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  node.add("address", memory_.address().value);
  node.add("size", memory_.size());
  node.add("block_size", memory_.block_bytes());
  node.add("requested_size", requested_.load(std::memory_order_relaxed));
  node.add("usable_region_size", usable_.load(std::memory_order_relaxed));
  node.add("plugged_size", memory_.plugged_bytes());
  node.add("denied", denied_.load(std::memory_order_relaxed));
  node.add("failed", failed_.load(std::memory_order_relaxed));
  node.add("malformed", malformed_.load(std::memory_order_relaxed));
}

}  // namespace warren::vmm::virtio
