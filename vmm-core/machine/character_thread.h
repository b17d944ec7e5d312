// The machine's own thread for slow devices: serves character back ends and the real-time clock's interrupts,
// with poll(2). Nothing a device does here waits.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "vmm-core/chardev/descriptor_backend.h"
#include "vmm-core/devices/real_time_clock.h"
#include "vmm-core/os/file_descriptor.h"
#include "vmm-core/sandbox/filter.h"

namespace warren::vmm::machine {

class CharacterThread {
 public:
  CharacterThread();
  CharacterThread(const CharacterThread&) = delete;
  CharacterThread& operator=(const CharacterThread&) = delete;
  ~CharacterThread() { stop(); }

  // Looks again at what there is to wait for. Any thread.
  void wake() noexcept;

  // What is served must outlive the thread's run. `clock` may be null. Throws when the host has no more
  // threads.
  void start(std::vector<DescriptorBackend*> backends, RealTimeClock* clock,
             std::function<void(ThreadKind)> thread_started);
  void stop() noexcept;
  // Of a thread that runs; a back end that is added has its listener. Once remove() has returned the back end
  // is not touched any more.
  void add(DescriptorBackend& backend);
  void remove(const DescriptorBackend& backend) noexcept;

 private:
  void main();
  int timeout_milliseconds(bool look_again) const noexcept;

  FileDescriptor wake_event_;
  std::mutex mutex_;  // held by the thread but while it waits; guards the two below
  std::vector<DescriptorBackend*> backends_;
  std::uint64_t generation_ = 0;  // of the list
  RealTimeClock* clock_ = nullptr;
  std::function<void(ThreadKind)> thread_started_;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace warren::vmm::machine
