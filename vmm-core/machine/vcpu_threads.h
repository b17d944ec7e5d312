// The threads that run vCPUs: dispatch of exits to the address spaces, pausing all of them, and why one
// stopped. vCPUs come and go: one that is not there has no thread, and none in KVM before it first comes.
//
// Control calls come from one thread that is no vCPU; request_pause() from any. A vCPU that cannot go on (or
// a device that ends the machine) asks for a pause of all and tells `stopped`; nobody spins.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "vmm-core/bus/address_space.h"
#include "vmm-core/kvm/vcpu.h"
#include "vmm-core/sandbox/filter.h"
#include "vmm-core/state/counters.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::machine {

// Why the guest came to its end by itself, or to a stop: in S3 it waits for what wakes it.
struct GuestShutDown {
  bool is_hibernation = false;  // S4: it has saved itself to its disk
};
struct GuestReset {};
struct GuestSuspended {};
struct GuestCrashed {
  std::string reason;  // which vCPU, what KVM said, registers
};
// A vCPU was about to use memory that has failed, at that address of this process.
struct GuestMemoryFailed {
  std::size_t vcpu = 0;
  std::uintptr_t address = 0;
};
using GuestEvent = std::variant<GuestShutDown, GuestReset, GuestCrashed, GuestSuspended, GuestMemoryFailed>;

class VcpuThreads final : public Inspectable {
 public:
  struct Environment {
    AddressSpace& ports;
    AddressSpace& memory;
    CountersPage* counters = nullptr;                // or none
    std::function<void(ThreadKind)> thread_started;  // first thing on each thread
    std::function<void(GuestEvent)> stopped;         // on a vCPU thread; must not wait for vCPUs
  };

  // By number; null for those that are not there.
  VcpuThreads(std::vector<std::unique_ptr<kvm::Vcpu>> vcpus, Environment environment);
  VcpuThreads(const VcpuThreads&) = delete;
  VcpuThreads& operator=(const VcpuThreads&) = delete;
  ~VcpuThreads();

  // Starts the threads, which wait. Throws Error or std::system_error when the host has no more.
  void start();
  void resume();
  // Returns when no vCPU runs any more.
  void pause();
  // The same without waiting. Any thread.
  void request_pause() noexcept;

  // Ends the threads for good.
  void stop() noexcept;

  // While paused, as everything down to vcpu(). The vCPU's thread starts, if the others have, and waits.
  // `vcpu` is null for one that was removed and comes back. Throws as start(); then nothing has changed, but
  // that the vCPU is kept.
  void add(std::size_t index, std::unique_ptr<kvm::Vcpu> vcpu);
  // Ends its thread. KVM never forgets a vCPU, so it is kept for when it comes back.
  void remove(std::size_t index);

  // How many there can be.
  std::size_t size() const noexcept { return slots_.size(); }
  bool is_present(std::size_t index) const noexcept {
    return index < slots_.size() && slots_[index].is_present;
  }
  // One that is there, or was.
  bool has_vcpu(std::size_t index) const noexcept { return slots_[index].vcpu != nullptr; }
  kvm::Vcpu& vcpu(std::size_t index) noexcept { return *slots_[index].vcpu; }

  void inspect(InspectNode& node) const override;

 private:
  enum class Request { run, pause, end };
  struct Slot {
    std::unique_ptr<kvm::Vcpu> vcpu;
    std::thread thread;       // changes with mutex_ held
    bool is_present = false;  // likewise
    bool is_leaving = false;  // likewise: the thread is to end
  };

  void start_thread(std::size_t index);
  void wait_until_parked();
  void main(std::size_t index);
  // Waits while a pause is asked for; false when the thread is to end.
  bool park(const Slot& slot);
  // False when the vCPU cannot go on.
  bool handle(std::size_t index, const kvm::Exit& exit);
  void crash(std::size_t index, const std::string& what);
  void kick() noexcept;
  VcpuCounters& counters(std::size_t index) noexcept;

  std::vector<Slot> slots_;
  const Environment environment_;
  std::unique_ptr<VcpuCounters[]>
      own_counters_;  // for vCPUs that the page has no slot for, or without a page

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool started_ = false;
  std::size_t threads_ = 0;
  std::size_t parked_ = 0;
  std::atomic<Request> request_{Request::pause};
};

}  // namespace warren::vmm::machine
