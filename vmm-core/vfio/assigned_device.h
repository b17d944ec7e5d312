// A PCI function of the host as a function of the guest: its registers, BARs and interrupts are the device's
// own wherever the guest may have them.
//
// Reads and writes of what is not emulated go to the device from vCPU threads and take as long as it does.
// DMA is the device's and the IOMMU's business: it goes on while the machine is paused.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vmm-core/memory/memory_slots.h"
#include "vmm-core/os/event_thread.h"
#include "vmm-core/pci/function.h"
#include "vmm-core/vfio/bar_window.h"
#include "vmm-core/vfio/configuration_view.h"
#include "vmm-core/vfio/interrupts.h"

namespace warren::vmm::vfio {

// A device of the host that is open, and what it says of itself.
struct OpenedDevice {
  std::string host_name;               // "0000:01:00.0", for messages
  std::shared_ptr<const void> keeper;  // held for as long as the device is open: its group
  std::unique_ptr<DeviceFile> file;
  Region configuration;
  ConfigurationView view;
  bool can_reset = false;
};

// `behind_port`: as ConfigurationView. Throws Error naming the device, for one that is no PCI device or
// cannot be assigned.
OpenedDevice open_device(std::string host_name, std::unique_ptr<DeviceFile> file, bool behind_port,
                         std::shared_ptr<const void> keeper = {});

// On `thread`, which outlives the device.
struct Notices {
  EventThread* thread = nullptr;      // null: nobody is told
  std::function<void()> wanted_back;  // the host wants the device; again and again until it has it
  std::function<void()> failed;       // the device reported an error that it does not recover from
};

class AssignedDevice final : public pci::Function, private pci::BarListener {
 public:
  // What it needs of the machine. All of it outlives the device.
  struct Surroundings {
    MemorySlots& slots;
    MsiRouter& messages;
  };

  // Throws Error naming what of the device cannot be given to a guest.
  AssignedDevice(std::string name, OpenedDevice opened, pci::Place place, const Surroundings& surroundings,
                 Notices notices);
  ~AssignedDevice() override;

  void config_read(std::uint16_t offset, std::span<std::byte> data) noexcept override;
  void config_write(std::uint16_t offset, std::span<const std::byte> data) noexcept override;
  void reset() override;
  void inspect(InspectNode& node) const override;

 private:
  // The MSI-X table, whose changes decide which vectors the device is to signal.
  class Table final : public IoHandler {
   public:
    explicit Table(AssignedDevice& device) : device_(device) {}
    void read(std::uint64_t offset, std::span<std::byte> data) noexcept override;
    void write(std::uint64_t offset, std::span<const std::byte> data) noexcept override;

   private:
    AssignedDevice& device_;
  };
  // An eventfd of the kernel's, and what is to be done when it is signalled.
  class Notice final : public EventHandler {
   public:
    Notice(DeviceFile& file, std::uint32_t index, EventThread& thread, std::function<void()> action);
    Notice(const Notice&) = delete;
    Notice& operator=(const Notice&) = delete;
    ~Notice();
    void on_event(std::uint32_t events) noexcept override;

   private:
    bool pass(int descriptor) noexcept;
    DeviceFile& file_;
    const std::uint32_t index_;
    EventThread& thread_;
    const std::function<void()> action_;
    FileDescriptor event_;
    bool registered_ = false;
  };

  void load_configuration();
  void make_bars(MemorySlots& slots);
  void make_msix(MsiRouter& messages);
  BarWindow& window_of_table(unsigned bar, std::uint64_t offset, std::uint64_t size);
  [[noreturn]] void refuse(const std::string& why) const;

  // With the lock of pci::Function held, and perhaps mutex_.
  void bar_mapped(unsigned bar, GuestAddress address) noexcept override;
  void bar_unmapped(unsigned bar) noexcept override;
  void write_command() noexcept;
  void reset_device() noexcept;
  bool read_device(std::uint16_t offset, std::span<std::byte> data) noexcept;
  void write_device(std::uint16_t offset, std::span<const std::byte> data) noexcept;

  // With mutex_ held.
  void msi_changed() noexcept;
  void msix_changed() noexcept;
  void use_vector(std::uint16_t vector) noexcept;

  const std::string host_name_;
  const std::shared_ptr<const void> keeper_;
  const std::unique_ptr<DeviceFile> file_;
  const Region registers_;
  const ConfigurationView view_;
  const bool can_reset_;
  std::array<std::unique_ptr<BarWindow>, pci::kBars> windows_;
  std::unique_ptr<pci::Msix> msix_;
  Table table_{*this};
  std::vector<std::unique_ptr<MsiRoute>> msi_routes_;
  std::mutex mutex_;  // goes before the lock of pci::Function
  Interrupts interrupts_;
  std::size_t msi_vectors_ = 0;  // in use
  std::unique_ptr<Notice> wanted_back_, failed_;
};

}  // namespace warren::vmm::vfio
