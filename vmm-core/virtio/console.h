// The virtio console device (virtio 1.2 §5.3) with its one port on a character back end.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "vmm-core/chardev/character_backend.h"
#include "vmm-core/virtio/served_device.h"

namespace warren::vmm::virtio {

struct ConsoleState {
  std::uint32_t version = 1;
  std::vector<std::byte> input;   // from the host, not yet taken by the guest
  std::uint64_t output_sent = 0;  // bytes of the next chain of the transmit queue
};

class Console final : public ServedDevice, public CharacterListener {
 public:
  // The back end outlives the device.
  Console(std::string name, CharacterBackend& backend, std::vector<EventThread*> threads);
  ~Console() override;

  DeviceType type() const noexcept override { return DeviceType::console; }
  std::uint64_t features() const noexcept override { return 0; }
  bool offers_packed() const noexcept override { return true; }
  std::uint16_t queue_count() const noexcept override { return 2; }
  std::uint16_t queue_size() const noexcept override { return 128; }
  void read_configuration(std::uint64_t, std::span<std::byte> data) noexcept override {
    read_bytes({}, 0, data);
  }
  void write_configuration(std::uint64_t, std::span<const std::byte>) noexcept override {}

  // Input that was not yet taken stays; of output that was begun, what is not yet sent is sent.
  void deactivate() noexcept override;
  ConsoleState save() const;
  void restore(const ConsoleState& state);

  std::size_t receive_capacity() noexcept override;
  void receive(std::span<const std::byte> bytes) noexcept override;
  void output_ready() noexcept override;
  void inspect(InspectNode& node) const override;

 private:
  static constexpr std::size_t kInputSize = 4096;

  Served serve(std::uint16_t queue) noexcept override;
  void started(std::uint16_t queue) noexcept override;
  void stopped(std::uint16_t queue) noexcept override;
  Served serve_input() noexcept;
  Served serve_output() noexcept;
  void find_unsent() noexcept;
  void ring(std::uint16_t queue) noexcept;

  CharacterBackend& backend_;
  mutable std::mutex mutex_;             // guards input_ and its bell
  std::vector<std::byte> input_;         // from the host, not yet taken by the guest
  std::array<FileDescriptor, 2> wakes_;  // eventfds that call the queue's thread to work
  class Wake;
  std::array<std::unique_ptr<Wake>, 2> wakers_;
  std::atomic<std::uint64_t> received_{0}, transmitted_{0};
  Chain output_;  // begun, waiting for room
  std::size_t output_range_ = 0, output_offset_ = 0;
  std::uint64_t output_sent_ = 0;  // bytes of the chain that is begun, or of the next one
};

}  // namespace warren::vmm::virtio
