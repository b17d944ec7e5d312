// The virtio memory balloon (virtio 1.2 §5.5): takes pages from the guest and gives them to the host, tells
// what the guest says of its memory, and takes the pages that the guest reports free.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/state/counters.h"
#include "vmm-core/virtio/served_device.h"

namespace warren::vmm::virtio {

// Told that BalloonCounters::actual_bytes is another one; any thread, as often as the guest likes. Outlives
// the device.
class BalloonListener {
 public:
  virtual void balloon_changed() noexcept = 0;

 protected:
  ~BalloonListener() = default;
};

struct BalloonOptions {
  bool deflate_on_oom = false;  // the guest may take its pages back rather than kill a process
  bool page_reporting = false;  // the guest names free pages, that the host may have until they are used
  BalloonListener* listener = nullptr;  // or none
};

class Balloon final : public ServedDevice, private EventHandler {
 public:
  // `memory` and `counters` outlive it.
  Balloon(std::string name, GuestMemory& memory, const BalloonOptions& options, BalloonCounters& counters,
          std::vector<EventThread*> threads);
  ~Balloon() override;

  // Control thread. The guest has other RAM than before: what is taken of it stays the same.
  void memory_changed() noexcept;
  // Control thread. How much memory the guest is asked to have, in bytes; it does what it can.
  void set_target(std::uint64_t bytes) noexcept;
  // Asks for statistics now and each time so many seconds have gone by; 0: no more.
  void set_statistics_period(std::uint32_t seconds) noexcept;

  DeviceType type() const noexcept override { return DeviceType::balloon; }
  std::uint64_t features() const noexcept override;
  bool offers_packed() const noexcept override { return true; }
  std::uint16_t queue_count() const noexcept override { return options_.page_reporting ? 4 : 3; }
  std::uint16_t queue_size() const noexcept override { return 128; }
  void read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
  void deactivate() noexcept override;
  void inspect(InspectNode& node) const override;

 private:
  // DEVNOTE: §5.5.2 numbers the reporting queue 4. Drivers and devices in the field leave out queues that are
  // not offered, and free page hints are not offered here; so it is the fourth.
  enum : std::uint16_t { kInflate = 0, kDeflate = 1, kStatistics = 2, kReporting = 3 };
  static constexpr std::size_t kConfigurationBytes = 16;  // §5.5.4
  using Configuration = std::array<std::byte, kConfigurationBytes>;

  Served serve(std::uint16_t queue) noexcept override;
  void started(std::uint16_t queue) noexcept override;
  void stopped(std::uint16_t queue) noexcept override;
  void on_event(std::uint32_t events) noexcept override;  // it is time for statistics
  void arm() noexcept;
  void take_pages(const Chain& chain, bool inflates) noexcept;
  void take_statistics(const Chain& chain) noexcept;
  void take_reported(const Chain& chain) noexcept;
  Configuration configuration() const noexcept;
  void set_actual(std::uint32_t pages) noexcept;
  void count_actual() noexcept;

  GuestMemory& memory_;
  const BalloonOptions options_;
  BalloonCounters& counters_;
  FileDescriptor timer_;
  std::atomic<std::uint32_t> target_pages_{0};  // num_pages: how many the balloon should have
  std::atomic<std::uint32_t> actual_pages_{0};  // how many the driver says it has
  std::atomic<std::uint32_t> poison_{0};
  Ticket statistics_buffer_;             // the driver's, until statistics are wanted; queue's thread
  std::uint32_t statistics_period_ = 0;  // seconds; queue's thread
};

}  // namespace warren::vmm::virtio
