// Receive-side scaling of a multi-queue tap (virtio 1.2 §5.1.6.5.6): the worker's side of the program that
// the daemon has loaded into the kernel (driver/link/steering). Not for two threads at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/state/steering_table.h"

namespace warren::vmm::net {

struct SteeringSettings {
  static constexpr std::size_t kKeyBytes = SteeringTable::kMostHashed + 4;

  std::uint32_t hash_types = 0;            // of SteeringTable's
  std::uint16_t unclassified = 0;          // the queue of what is of none of these
  std::span<const std::uint16_t> entries;  // a power of two of them, at most SteeringTable::kMostEntries
  std::span<const std::byte> key;          // at most kKeyBytes; zeros behind it
};

// Settings as the program reads them. Those of the moment before may be mixed with them while it is written.
void write_table(SteeringTable& table, const SteeringSettings& settings) noexcept;

class Steering {
 public:
  // `tap`: any queue of it. Maps the table. Throws Error.
  Steering(FileDescriptor program, const FileDescriptor& table, FileDescriptor tap, const std::string& name);
  ~Steering();
  Steering(const Steering&) = delete;
  Steering& operator=(const Steering&) = delete;

  // Packets to any queue of the tap go by these from now on. False when the kernel refuses.
  bool start(const SteeringSettings& settings) noexcept;
  // The kernel chooses queues by itself again: by the flow the guest last sent on a queue.
  void stop() noexcept;

 private:
  bool set_program(int program) noexcept;

  const FileDescriptor program_, tap_;
  SteeringTable* table_;
  bool active_ = false;
};

}  // namespace warren::vmm::net
