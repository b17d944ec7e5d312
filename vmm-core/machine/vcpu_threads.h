// The threads that run vCPUs: dispatch of exits to the address spaces, pausing all of them, and why one
// stopped.
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

// Why the guest came to its end by itself.
struct GuestShutDown {};
struct GuestReset {};
struct GuestCrashed {
  std::string reason;  // which vCPU, what KVM said, registers
};
using GuestEvent = std::variant<GuestShutDown, GuestReset, GuestCrashed>;

class VcpuThreads final : public Inspectable {
 public:
  struct Environment {
    AddressSpace& ports;
    AddressSpace& memory;
    CountersPage* counters = nullptr;                // or none
    std::function<void(ThreadKind)> thread_started;  // first thing on each thread
    std::function<void(GuestEvent)> stopped;         // on a vCPU thread; must not wait for vCPUs
  };

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

  // vCPUs to be looked at or changed while paused.
  std::size_t size() const noexcept { return vcpus_.size(); }
  kvm::Vcpu& vcpu(std::size_t index) noexcept { return *vcpus_[index]; }

  void inspect(InspectNode& node) const override;

 private:
  enum class Request { run, pause, end };

  void main(std::size_t index);
  // Waits while a pause is asked for; false when the thread is to end.
  bool park(kvm::Vcpu& vcpu);
  // False when the vCPU cannot go on.
  bool handle(std::size_t index, const kvm::Exit& exit);
  void crash(std::size_t index, const std::string& what);
  void kick() noexcept;
  VcpuCounters& counters(std::size_t index) noexcept;

  std::vector<std::unique_ptr<kvm::Vcpu>> vcpus_;
  const Environment environment_;
  std::unique_ptr<VcpuCounters[]>
      own_counters_;  // for vCPUs that the page has no slot for, or without a page
  std::vector<std::thread> threads_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t parked_ = 0;
  std::atomic<Request> request_{Request::pause};
};

}  // namespace warren::vmm::machine
