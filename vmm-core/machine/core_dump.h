// An ELF core of a guest: RAM as PT_LOAD segments at their physical addresses, and one NT_PRSTATUS note for
// each vCPU (System V gABI "Program Header"; elf_prstatus of x86-64), which gdb and crash open.
//
// Written by a thread of its own, so that the worker answers meanwhile. Pages that the guest never touched
// are holes of the file. Guest memory may change while it is written (a live dump); its regions may not.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

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

  // Begins at once. `file` is empty and can be written at any offset; `memory` outlives the dump;
  // `thread_started` is called first on the thread. Throws Error or std::system_error when there is no
  // thread to be had.
  CoreDump(FileDescriptor file, const GuestMemory& memory, std::vector<VcpuRegisters> vcpus,
           std::function<void()> thread_started);
  CoreDump(const CoreDump&) = delete;
  CoreDump& operator=(const CoreDump&) = delete;
  ~CoreDump();  // aborts

  void abort() noexcept { aborted_.store(true); }
  State state() const noexcept { return state_.load(); }
  std::string error() const;  // why it failed
  std::uint64_t total_bytes() const noexcept { return memory_.size(); }
  std::uint64_t written_bytes() const noexcept { return written_.load(std::memory_order_relaxed); }

 private:
  void main() noexcept;
  bool write_all();
  bool write_region(const MemoryRegion& region, std::uint64_t file_offset);
  void fail(int error_number, const char* doing);

  const FileDescriptor file_;
  const GuestMemory& memory_;
  const std::vector<VcpuRegisters> vcpus_;
  std::atomic<State> state_{State::active};
  std::atomic<bool> aborted_{false};
  std::atomic<std::uint64_t> written_{0};  // of the guest's memory, holes counted
  mutable std::mutex mutex_;
  std::string error_;
  std::thread thread_;  // last: it uses the others
};

}  // namespace warren::vmm::machine
