// Every virtio device with a small host of its own, for the conformance suite and fuzzing.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/block/raw_image.h"
#include "vmm-core/net/tap.h"
#include "vmm-core/os/error.h"
#include "vmm-core/virtio/balloon.h"
#include "vmm-core/virtio/block.h"
#include "vmm-core/virtio/console.h"
#include "vmm-core/virtio/fake_guest.h"
#include "vmm-core/virtio/net.h"
#include "vmm-core/virtio/rng.h"

namespace warren::vmm::virtio {

// A host's side of one device, and requests by which one sees that it works.
class FakeHost {
 public:
  virtual ~FakeHost() = default;
  virtual std::unique_ptr<Device> make_device() = 0;
  // One request there and back; false when the device does not do what it is for.
  virtual bool works(FakeGuest& guest) = 0;
  // Makes a sound request available without ringing: its queue.
  virtual std::size_t offer(FakeGuest& guest) = 0;
  // Queues whose chains the device takes without anything else happening.
  virtual std::vector<std::size_t> served_queues() const = 0;
  // The guest's RAM, where the device has to know it when it is made.
  virtual GuestMemory* guest_memory() { return nullptr; }

 protected:
  EventThread thread_{"virtio-test"};
};

class BlockHost final : public FakeHost {
 public:
  static constexpr std::uint64_t kSize = 1 << 20;
  explicit BlockHost(bool use_io_uring)
      : use_io_uring_(use_io_uring), file_(::memfd_create("disk", MFD_CLOEXEC)) {
    if (!file_ || ::ftruncate(file_.get(), kSize) != 0) throw_errno("memfd");
  }
  std::unique_ptr<Device> make_device() override {
    block::RawImageOptions options;
    options.use_io_uring = use_io_uring_;
    return make_device(std::make_unique<block::RawImage>(file_.duplicate(), "disk", options));
  }
  std::unique_ptr<Device> make_device(std::unique_ptr<block::Image> image) {
    BlockOptions options;
    options.packed = true;
    options.disk.discard = true;
    options.queues = 2;
    options.disk.serial = "serial";
    return std::make_unique<Block>("disk", std::move(image), options, counters_,
                                   std::vector<EventThread*>{&thread_});
  }
  // One request; its status byte, and the used length.
  static std::optional<std::uint8_t> request(FakeGuest& guest, std::uint32_t type, std::uint64_t sector,
                                             std::vector<FakeBuffer> data, std::uint32_t* used = nullptr,
                                             std::optional<std::uint64_t> table = std::nullopt) {
    if (!prepare(guest, type, sector, data)) return std::nullopt;
    const auto back = guest.request(0, data, table);
    if (!back) return std::nullopt;
    if (used != nullptr) *used = back->length;
    return guest.memory().read_object<std::uint8_t>({kStatus});
  }
  bool works(FakeGuest& guest) override {
    const std::uint64_t value = ++value_;
    std::uint32_t used = 0;
    static_cast<void>(guest.memory().write_object({kData + 8}, value));
    if (request(guest, 1, 3, {{kData, 512, false}}, &used) != 0 || used != 1) return false;
    if (request(guest, 0, 3, {{kData + 512, 512, true}}, &used, FakeGuest::kTables) != 0 || used != 513)
      return false;
    return guest.memory().read_object<std::uint64_t>({kData + 512 + 8}) == value;
  }
  std::size_t offer(FakeGuest& guest) override {
    // Each into a place of its own: a few are under way at a time.
    std::vector<FakeBuffer> chain = {{kData + 4096 * (offered_++ % 8), 4096, true}};
    static_cast<void>(prepare(guest, 0, 0, chain));
    guest.queue(0).offer(chain);
    return 0;
  }
  std::vector<std::size_t> served_queues() const override { return {0, 1}; }
  BlockCounters& counters() noexcept { return counters_; }
  int file() const noexcept { return file_.get(); }

  static constexpr std::uint64_t kHeader = FakeGuest::kBuffers, kStatus = FakeGuest::kBuffers + 64,
                                 kData = FakeGuest::kBuffers + 4096;

 private:
  static bool prepare(FakeGuest& guest, std::uint32_t type, std::uint64_t sector,
                      std::vector<FakeBuffer>& data) {
    data.insert(data.begin(), {kHeader, 16, false});
    data.push_back({kStatus, 1, true});
    return guest.memory().write_object({kHeader}, std::uint64_t{type}) &&
           guest.memory().write_object({kHeader + 8}, sector) &&
           guest.memory().write_object({kStatus}, std::uint8_t{0xee});
  }

  const bool use_io_uring_;
  FileDescriptor file_;
  BlockCounters counters_{};
  std::uint64_t value_ = 0, offered_ = 0;
};

class RngHost final : public FakeHost {
 public:
  std::unique_ptr<Device> make_device() override {
    return std::make_unique<Rng>("rng", 0, 0, std::vector<EventThread*>{&thread_});
  }
  bool works(FakeGuest& guest) override {
    static_cast<void>(guest.memory().write_object({FakeGuest::kBuffers}, std::uint64_t{0}));
    const auto used = guest.request(0, {{FakeGuest::kBuffers, 64, true}});
    return used && used->length == 64 &&
           guest.memory().read_object<std::uint64_t>({FakeGuest::kBuffers}) != std::uint64_t{0};
  }
  std::size_t offer(FakeGuest& guest) override {
    guest.queue(0).offer({{FakeGuest::kBuffers, 4096, true}});
    return 0;
  }
  std::vector<std::size_t> served_queues() const override { return {0}; }
};

// A balloon; the guest's memory is the host's to give, so a device is made for a guest that is there already.
class BalloonHost final : public FakeHost, public BalloonListener {
 public:
  static constexpr std::uint64_t kStatistics = std::uint64_t{1} << 1, kOutOfMemory = std::uint64_t{1} << 2,
                                 kPoison = std::uint64_t{1} << 4, kReporting = std::uint64_t{1} << 5;
  static constexpr std::uint64_t kPage = 0x38'0000;  // one that nothing else uses

  std::unique_ptr<Device> make_device() override {
    auto device = std::make_unique<Balloon>(
        "balloon", memory_, BalloonOptions{.deflate_on_oom = true, .page_reporting = true, .listener = this},
        counters_, std::vector<EventThread*>{&thread_});
    device_ = device.get();
    return device;
  }
  GuestMemory* guest_memory() override { return &memory_; }
  // A page that is given away reads as zeros.
  bool works(FakeGuest& guest) override {
    static_cast<void>(guest.memory().write_object({kPage + 8}, std::uint64_t{0x5a}));
    prepare(guest);
    const auto used = guest.request(0, {{FakeGuest::kBuffers, 4, false}});
    return used && used->length == 0 &&
           guest.memory().read_object<std::uint64_t>({kPage + 8}) == std::uint64_t{0};
  }
  std::size_t offer(FakeGuest& guest) override {
    prepare(guest);
    guest.queue(0).offer({{FakeGuest::kBuffers, 4, false}});
    return 0;
  }
  std::vector<std::size_t> served_queues() const override { return {0, 1, 3}; }
  void balloon_changed() noexcept override { ++changes_; }

  Balloon& device() noexcept { return *device_; }
  BalloonCounters& counters() noexcept { return counters_; }
  unsigned changes() const noexcept { return changes_.load(); }

 private:
  static void prepare(FakeGuest& guest) {
    static_cast<void>(
        guest.memory().write_object({FakeGuest::kBuffers}, static_cast<std::uint32_t>(kPage / 4096)));
  }

  GuestMemory memory_{FakeGuest::kLayout};
  BalloonCounters counters_{};
  Balloon* device_ = nullptr;
  std::atomic<unsigned> changes_{0};
};

// A character back end that remembers, and takes no more than `room`.
class FakeCharacters final : public CharacterBackend {
 public:
  void set_listener(CharacterListener* listener) noexcept override { listener_ = listener; }
  std::size_t write(std::span<const std::byte> bytes) noexcept override {
    const std::lock_guard lock(mutex_);
    const std::size_t taken = std::min(bytes.size(), room_);
    for (const auto byte : bytes.first(taken)) text_.push_back(static_cast<char>(byte));
    room_ -= taken;
    return taken;
  }
  bool watch_peer(PeerListener* listener) noexcept override {
    peer_listener_ = listener;
    return peer_;
  }
  void resume_input() noexcept override { ++resumed_; }
  void set_peer(bool present) {
    peer_ = present;
    peer_listener_->peer_changed(present);
  }

  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  std::string take_text() {
    const std::lock_guard lock(mutex_);
    return std::exchange(text_, {});
  }
  void set_room(std::size_t room) {
    const std::lock_guard lock(mutex_);
    room_ = room;
  }
  CharacterListener& listener() noexcept { return *listener_; }
  unsigned resumed() const noexcept { return resumed_.load(); }
  void type(std::string_view text) { listener_->receive(std::as_bytes(std::span(text))); }

 private:
  CharacterListener* listener_ = nullptr;
  PeerListener* peer_listener_ = nullptr;
  bool peer_ = false;
  mutable std::mutex mutex_;
  std::string text_;
  std::size_t room_ = 1 << 20;
  std::atomic<unsigned> resumed_{0};
};

class ConsoleHost final : public FakeHost {
 public:
  std::unique_ptr<Device> make_device() override {
    Console::Options options{.ports = {{.backend = &characters_}}};
    return std::make_unique<Console>("console", std::move(options), thread_);
  }
  bool works(FakeGuest& guest) override {
    // Whatever the guest has sent so far may have filled the other side.
    characters_.set_room(1 << 20);
    static_cast<void>(characters_.take_text());
    static_cast<void>(
        guest.memory().write(GuestAddress{FakeGuest::kBuffers}, std::as_bytes(std::span("hello", 5))));
    const auto used = guest.request(1, {{FakeGuest::kBuffers, 5, false}});
    return used && used->length == 0 && characters_.take_text() == "hello";
  }
  std::size_t offer(FakeGuest& guest) override {
    guest.queue(1).offer({{FakeGuest::kBuffers, 5, false}});
    return 1;
  }
  std::vector<std::size_t> served_queues() const override { return {1}; }
  FakeCharacters& characters() noexcept { return characters_; }

 private:
  FakeCharacters characters_;
};

// A console and a channel behind control queues; works() takes port 0, which needs no control messages.
class ChannelHost final : public FakeHost {
 public:
  static constexpr std::size_t kControlInput = 2, kControlOutput = 3, kChannelInput = 4, kChannelOutput = 5;
  struct Control {
    std::uint32_t port = 0;
    std::uint16_t event = 0, value = 0;
    bool operator==(const Control&) const = default;
  };

  std::unique_ptr<Device> make_device() override {
    Console::Options options{
        .ports = {{.backend = &console_.characters()},
                  {.number = 1, .name = "org.example", .is_console = false, .backend = &channel_}},
        .maximum_ports = 2,
        .guest_opened = [this](std::uint32_t port, bool open) { opened_[port] = open; }};
    auto device = std::make_unique<Console>("console", std::move(options), thread_);
    device_ = device.get();
    return device;
  }
  bool works(FakeGuest& guest) override { return console_.works(guest); }
  std::size_t offer(FakeGuest& guest) override { return console_.offer(guest); }
  std::vector<std::size_t> served_queues() const override { return {1}; }

  // Sends a control message.
  static bool tell(FakeGuest& guest, const Control& message) {
    static_cast<void>(guest.memory().write_object({FakeGuest::kBuffers}, message));
    return guest.request(kControlOutput, {{FakeGuest::kBuffers, 8, false}}).has_value();
  }
  // Takes the next control message, and what comes behind it.
  static std::optional<Control> hear(FakeGuest& guest, std::string* name = nullptr, int milliseconds = 2000) {
    if (!offered_) guest.queue(kControlInput).offer({{FakeGuest::kBuffers + 1024, 64, true}});
    offered_ = true;
    guest.kick(kControlInput);
    const auto used = guest.wait_used(kControlInput, milliseconds);
    if (!used || used->length < 8) return std::nullopt;
    offered_ = false;
    if (name != nullptr) {
      name->resize(used->length - 8);
      static_cast<void>(guest.memory().read(GuestAddress{FakeGuest::kBuffers + 1032},
                                            std::as_writable_bytes(std::span(*name))));
    }
    return guest.memory().read_object<Control>({FakeGuest::kBuffers + 1024});
  }

  FakeCharacters& channel() noexcept { return channel_; }
  Console& device() noexcept { return *device_; }
  bool opened(std::size_t port) const noexcept { return opened_[port].load(); }
  static void restart() noexcept { offered_ = false; }

 private:
  static inline bool offered_ = false;
  ConsoleHost console_;
  FakeCharacters channel_;
  std::array<std::atomic<bool>, 2> opened_{};
  Console* device_ = nullptr;
};

// Taps of an interface of its own, in a network namespace that this thread moves to. Throws Error where the
// host does not let it.
class NetHost final : public FakeHost {
 public:
  static constexpr std::uint64_t kFeatures = std::uint64_t{1} << 5 | 1 << 15 | 1 << 16 | 1 << 17 | 1 << 18;
  explicit NetHost(std::size_t pairs = 1) : pairs_(pairs) {
    static const bool apart = ::unshare(CLONE_NEWNET) == 0;
    if (!apart) throw Error(std::errc::operation_not_permitted, "no network namespace of our own");
    static int number = 0;
    name_ = "warren" + std::to_string(number++);
    for (std::size_t i = 0; i < pairs; ++i) taps_.push_back(open_tap());
  }
  std::vector<std::unique_ptr<net::Wire>> make_taps() const {
    std::vector<std::unique_ptr<net::Wire>> taps;
    for (const auto& tap : taps_) taps.push_back(std::make_unique<net::Tap>(tap.duplicate(), name_));
    return taps;
  }
  std::unique_ptr<Device> make_device() override {
    NetOptions options{.mac = {0x52, 0x54, 0, 1, 2, 3}, .packed = true, .mtu = 1500};
    if (program_)
      options.steering =
          std::make_shared<net::Steering>(program_.duplicate(), table_, taps_.front().duplicate(), name_);
    return std::make_unique<Net>("net", make_taps(), options, counters_, std::vector<EventThread*>{&thread_});
  }
  // A control command that is always understood: promiscuous mode (§5.1.6.5.1).
  bool works(FakeGuest& guest) override {
    offer(guest);
    const std::size_t control = guest.queue_count() == 3 ? 2 : control_;
    guest.kick(control);
    return guest.wait_used(control).value_or(FakeUsed{}).length == 1 &&
           guest.memory().read_object<std::uint8_t>({FakeGuest::kBuffers + 64}) == std::uint8_t{0};
  }
  std::size_t offer(FakeGuest& guest) override {
    const std::array<std::uint8_t, 3> command = {0, 0, 1};
    static_cast<void>(guest.memory().write_object({FakeGuest::kBuffers}, command));
    static_cast<void>(guest.memory().write_object({FakeGuest::kBuffers + 64}, std::uint8_t{0xee}));
    guest.queue(control_).offer({{FakeGuest::kBuffers, 3, false}, {FakeGuest::kBuffers + 64, 1, true}});
    return control_;
  }
  std::vector<std::size_t> served_queues() const override { return {1, control_}; }
  NetCounters& counters() noexcept { return counters_; }
  // For receive-side scaling, of devices that are made from now on.
  void set_steering(FileDescriptor program, FileDescriptor table) {
    program_ = std::move(program);
    table_ = std::move(table);
  }
  const std::string& interface() const noexcept { return name_; }
  // Where the control queue is: behind the pairs that were negotiated.
  void set_control_queue(std::size_t index) noexcept { control_ = index; }

 private:
  FileDescriptor open_tap() const {
    FileDescriptor tap(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    if (!tap) throw_errno("/dev/net/tun");
    ifreq request{};
    name_.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (pairs_ > 1) request.ifr_flags |= IFF_MULTI_QUEUE;
    if (::ioctl(tap.get(), TUNSETIFF, &request) != 0) throw_errno(name_);
    return tap;
  }

  const std::size_t pairs_;
  std::size_t control_ = 2;
  std::string name_;
  std::vector<FileDescriptor> taps_;
  FileDescriptor program_, table_;
  NetCounters counters_{};
};

}  // namespace warren::vmm::virtio
