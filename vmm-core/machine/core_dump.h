// An ELF core of a guest: RAM as PT_LOAD segments at their physical addresses, and one NT_PRSTATUS note for
// each vCPU (System V gABI "Program Header"; elf_prstatus of x86-64), which gdb and crash open.
//
// Written by a thread of its own, so that the worker answers meanwhile. Pages that the guest never touched
// are holes of the file, and so are blocks of memory devices that are not plugged. Guest memory may change
// while it is written (a live dump), and memory devices may come and go: it has those that were there when it
// began.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "vmm-core/memory/device_memory.h"
#include "vmm-core/memory/guest_memory.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/os/kvm_interface.h"

namespace warren::vmm::machine {

struct VcpuRegisters {
  kvm_regs general{};
  kvm_sregs special{};
};

class CoreDump {
 public:
  enum class State { active, complete, failed, aborted };

  // Begins at once. `file` is empty and can be written at any offset; `memory` outlives the dump, and so do
  // the memory devices, which it holds; `thread_started` is called first on the thread. Throws Error or
  // std::system_error when there is no thread to be had.
  CoreDump(FileDescriptor file, const GuestMemory& memory, std::vector<std::shared_ptr<DeviceMemory>> devices,
           std::vector<VcpuRegisters> vcpus, std::function<void()> thread_started);
  CoreDump(const CoreDump&) = delete;
  CoreDump& operator=(const CoreDump&) = delete;
  ~CoreDump();  // aborts

  void abort() noexcept { aborted_.store(true); }
  // The memory devices are needed no more: it is not active.
  void release_devices() noexcept { devices_.clear(); }
  State state() const noexcept { return state_.load(); }
  std::string error() const;  // why it failed
  std::uint64_t total_bytes() const noexcept { return total_; }
  std::uint64_t written_bytes() const noexcept { return written_.load(std::memory_order_relaxed); }

 private:
  void main() noexcept;
  bool write_all();
  bool write_region(const MemoryRegion& region, std::uint64_t file_offset);
  bool write_data(const MemoryRegion& region, std::uint64_t offset, std::uint64_t size,
                  std::uint64_t file_offset);
  void fail(int error_number, const char* doing);

  const FileDescriptor file_;
  std::vector<std::shared_ptr<DeviceMemory>> devices_;
  const std::vector<MemoryRegion> regions_;
  std::uint64_t total_ = 0;
  const std::vector<VcpuRegisters> vcpus_;
  std::atomic<State> state_{State::active};
  std::atomic<bool> aborted_{false};
  std::atomic<std::uint64_t> written_{0};  // of the guest's memory, holes counted
  mutable std::mutex mutex_;
  std::string error_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace warren::vmm::machine
