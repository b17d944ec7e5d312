// The SATA controller of the ICH9 in AHCI mode (AHCI 1.3.1, ICH9 data sheet §15): six ports, each with a
// disk, a CD/DVD drive or nothing.
//
// Registers on vCPU threads; commands on the one thread it is given. Interrupts by MSI or INTA#.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "vmm-core/block/disk.h"
#include "vmm-core/devices/ahci_port.h"
#include "vmm-core/devices/ata_disk.h"
#include "vmm-core/devices/atapi_drive.h"
#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/os/event_thread.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/pci/function.h"
#include "vmm-core/state/pausable.h"

namespace warren::vmm {

class AhciController final : public pci::Function,
                             public Pausable,
                             private IoHandler,
                             private EventHandler,
                             private ahci::PortHost {
 public:
  static constexpr unsigned kPorts = ahci::kPorts;

  struct DriveConfiguration {
    unsigned port = 0;
    std::unique_ptr<block::Disk> disk;  // with one stream; of blocks of 512 bytes, or 2048 when is_optical
    bool is_optical = false;
    std::function<void(bool open)> tray_moved;  // on the controller's thread, or the one of a call below
  };
  struct State {
    std::uint32_t version = 1;
    std::uint32_t control = 0, interrupt_status = 0;
    std::array<ahci::PortState, kPorts> ports{};
    std::array<std::variant<std::monostate, ata::Disk::State, ata::PacketDrive::State>, kPorts> drives{};
  };

  // `memory`, `messages` and `thread` outlive it. Throws Error.
  AhciController(std::string name, pci::Place place, GuestMemory& memory, MsiRouter& messages,
                 EventThread& thread, std::vector<DriveConfiguration> drives);
  ~AhciController() override;

  void reset() override;
  void pause() noexcept override;
  void resume() noexcept override;

  // Of the CD/DVD drive at a port. Control thread; each waits for what is in flight at that port.
  scsi::OpticalDrive::Opening open_tray(unsigned port, bool force);
  void close_tray(unsigned port);
  // What lies in the tray from now on; none: nothing. Throws Error, and nothing has changed.
  void set_medium(unsigned port, std::unique_ptr<block::Image> image);

  // Only while paused, and besides save_function(). restore() throws Error for what cannot be.
  State save() const;
  void restore(const State& state);
  void inspect(InspectNode& node) const override;

  static constexpr unsigned kBar = 5;  // ABAR
  static constexpr std::uint64_t kBarBytes = 4096;

 private:
  void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
  void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;
  void on_event(std::uint32_t events) noexcept override;

  std::mutex& lock() noexcept override { return mutex_; }
  GuestMemory& memory() noexcept override { return memory_; }
  bool may_use_memory() const noexcept override { return is_bus_master(); }
  void interrupts_changed() noexcept override;
  void wake() noexcept override;

  std::uint32_t read_register(std::uint64_t offset) const noexcept;
  void write_register(std::uint64_t offset, std::uint32_t value) noexcept;
  void reset_registers() noexcept;
  ata::PacketDrive& optical_drive(unsigned port);
  void start();

  GuestMemory& memory_;
  EventThread& thread_;
  FileDescriptor bell_;
  mutable std::mutex mutex_;  // of all registers
  std::uint32_t control_ = ahci::kAhciEnable;
  std::uint32_t interrupt_status_ = 0;
  bool reset_requested_ = false;
  std::array<std::unique_ptr<block::Disk>, kPorts> disks_;  // before ports_, which use them
  std::array<std::unique_ptr<ahci::Port>, kPorts> ports_;
  bool running_ = false;
};

}  // namespace warren::vmm
