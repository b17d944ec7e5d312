// One port of an AHCI controller: its registers, the command list behind them, and the drive that does the
// commands (AHCI 1.3.1 §3.3, §5, §6). Implementation header of the controller.
//
// Registers are written by vCPU threads with the controller's lock held; they only note what is to be done.
// All else happens on the controller's thread: what it reads of guest memory it reads once, addresses and
// lengths are the guest's and checked where they are used (classes T1, T6), and nothing touches guest memory
// once the port says that its command list does not run (T7).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include <sys/uio.h>

#include "vmm-core/block/disk_stream.h"
#include "vmm-core/devices/ahci_registers.h"
#include "vmm-core/devices/ata.h"
#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/os/event_thread.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::ahci {

// What a port has of its controller.
class PortHost {
 public:
  virtual std::mutex& lock() noexcept = 0;
  virtual GuestMemory& memory() noexcept = 0;
  virtual bool may_use_memory() const noexcept = 0;
  // An interrupt of a port has come or gone. Lock held.
  virtual void interrupts_changed() noexcept = 0;
  // There is something to do for the thread. Lock held.
  virtual void wake() noexcept = 0;

 protected:
  ~PortHost() = default;
};

// A drive with what it is made of; `disk` outlives the port.
struct Drive {
  block::Disk* disk = nullptr;
  std::unique_ptr<ata::Device> device;
};

struct PortState {
  std::uint64_t command_list = 0, frames = 0;
  std::uint32_t interrupt_status = 0, interrupt_enable = 0, command = 0, task_file = 0, signature = 0;
  std::uint32_t link_status = 0, link_control = 0, link_error = 0, active = 0, issued = 0;
  std::uint32_t begun = 0;  // commands that are to be begun again
  bool halted = false, in_soft_reset = false, owes_signature = false;
};

class Port final : private block::DiskClient, public Inspectable {
 public:
  Port(PortHost& host, unsigned number);
  ~Port();

  // Once, before anything else; throws Error.
  void insert(Drive drive);
  block::Disk* disk() noexcept { return drive_.disk; }
  ata::Device* device() noexcept { return drive_.device.get(); }

  // vCPU threads, lock held. Whole doublewords.
  std::uint32_t read(std::uint64_t offset) const noexcept;
  void write(std::uint64_t offset, std::uint32_t value) noexcept;
  bool is_interrupting() const noexcept { return (state_.interrupt_status & state_.interrupt_enable) != 0; }

  // The rest is the controller's thread's, lock not held.
  void start(EventThread& thread);
  void stop(EventThread& thread) noexcept;
  // Does what the registers ask for.
  void service() noexcept;
  // Everything to what it is after power-on, or a reset of the controller. Nothing is in flight.
  void reset() noexcept;
  // What is in flight ends, what waits is failed, and the disk has another image from then on. Throws Error.
  void replace_image(std::unique_ptr<block::Image> image, EventThread& thread);

  PortState save() const;
  // Throws Error for what cannot be.
  void restore(const PortState& state);
  void inspect(InspectNode& node) const override;

 private:
  static constexpr std::size_t kMaximumRanges = 168;  // in one request to the disk; more make several
  static constexpr std::size_t kTrimRanges = 64;

  struct Slot : block::DiskRequest {
    unsigned number = 0;
    bool queued = false;  // READ or WRITE FPDMA
    bool parked = false;  // goes on when the machine does
    std::uint16_t regions = 0;
    std::uint64_t header = 0, table = 0;  // guest addresses
    ata::CommandFrame frame;
    ata::Action action;
    std::uint64_t left = 0, done = 0;  // bytes
    std::uint32_t region = 0;          // where the next byte goes: which entry,
    std::uint64_t region_offset = 0;   // and how far in it
    std::vector<iovec> iovecs;
    std::uint32_t next_trim = 0;
  };
  struct Piece {
    std::uint32_t region = 0;
    std::uint64_t offset = 0, length = 0;
  };
  enum class Gathered { ok, no_memory, too_short };

  void finished(block::DiskRequest& request, bool failed) noexcept override;
  void abandoned(block::DiskRequest& request) noexcept override;
  void went_on() noexcept override { service(); }

  void write_command(std::uint32_t value) noexcept;
  void write_link_control(std::uint32_t value) noexcept;
  void connect() noexcept;
  void do_resets() noexcept;
  void drop_commands() noexcept;
  void post_signature() noexcept;

  // Of the commands that may be begun, the lowest; nothing when none may.
  std::optional<unsigned> next_command() noexcept;
  bool fetch(unsigned number) noexcept;
  void control_frame(const ata::CommandFrame& frame, const CommandHeader& header, unsigned number) noexcept;
  void perform(Slot& slot) noexcept;
  void begin_transfer(Slot& slot) noexcept;
  void next_trim_range(Slot& slot) noexcept;
  Gathered gather(Slot& slot) noexcept;
  bool copy(Slot& slot, std::span<std::byte> data, bool to_guest, std::size_t& copied) noexcept;
  void give(Slot& slot) noexcept;

  void complete(Slot& slot, std::uint8_t status, std::uint8_t error) noexcept;
  void complete_queued(Slot& slot, std::uint8_t status, std::uint8_t error) noexcept;
  void break_off(Slot& slot, std::uint32_t interrupt) noexcept;
  void release(Slot& slot) noexcept;
  void store_frame(std::uint64_t offset, std::span<const std::byte> frame) noexcept;
  void register_frame(const Slot* slot, std::uint8_t status, std::uint8_t error, bool interrupts,
                      bool with_signature) noexcept;
  void raise(std::uint32_t interrupts) noexcept;
  void set_task_file(std::uint8_t status, std::uint8_t error) noexcept {
    state_.task_file = static_cast<std::uint32_t>(error << 8 | status);
  }

  PortHost& host_;
  const unsigned number_;
  Drive drive_;
  std::unique_ptr<block::DiskStream> stream_;
  std::vector<Slot> slots_;
  std::array<Piece, kMaximumRanges> pieces_{};
  std::array<std::uint64_t, kTrimRanges> trim_ranges_{};

  // The lock's.
  PortState state_;
  bool stop_requested_ = false;   // commands in flight are to be dropped
  bool reset_requested_ = false;  // and the device reset
  // The thread's, but for inspect().
  std::uint32_t begun_ = 0;  // slots whose command is in hand
  std::uint32_t again_ = 0;  // begun by whoever saved this state
  bool exclusive_ = false;   // a command that is not queued is in hand
  bool dropping_ = false;
  bool pausing_ = false;
  bool running_ = false;
  bool in_service_ = false;
};

}  // namespace warren::vmm::ahci
