#include "vmm-core/machine/vcpu_threads.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include <pthread.h>
#include <unistd.h>

#include "vmm-core/os/error.h"
#include "vmm-core/os/memory_error.h"

namespace warren::vmm::machine {
namespace {

// Only there to end KVM_RUN with EINTR; what is wanted is in the request.
int kick_signal() noexcept {
  return SIGRTMIN;
}

void install_kick_handler() {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  if (::sigaction(kick_signal(), &action, nullptr) != 0) throw_errno("install the signal that stops vCPUs");
}

void count(Counter& counter) noexcept {
  // One writer, its vCPU: no atomic increment is needed.
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

const char* name_of_internal_error(std::uint32_t suberror) noexcept {
  switch (suberror) {
    case KVM_INTERNAL_ERROR_EMULATION:
      return "an instruction could not be emulated";
    case KVM_INTERNAL_ERROR_SIMUL_EX:
      return "simultaneous exceptions";
    case KVM_INTERNAL_ERROR_DELIVERY_EV:
      return "an exit while an event was delivered";
    case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
      return "an exit of an unexpected kind";
    default:
      return "of unknown kind";
  }
}

std::string hexadecimal(std::uint64_t value) {
  char text[19];
  std::snprintf(text, sizeof text, "%#lx", value);
  return text;
}

// What KVM adds to an emulation failure is the instruction: flags, then its size and bytes (api.rst §5,
// emulation_failure).
std::string describe(const kvm::InternalError& error) {
  std::string text = "KVM internal error " + std::to_string(error.suberror) + " (" +
                     name_of_internal_error(error.suberror) + ")";
  const bool has_instruction = error.suberror == KVM_INTERNAL_ERROR_EMULATION && error.data.size() >= 3 &&
                               (error.data[0] & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0;
  if (has_instruction) {
    std::array<unsigned char, 16> bytes{};
    std::memcpy(bytes.data(), &error.data[1], bytes.size());
    text += " instruction";
    const std::size_t size = std::min<std::size_t>(bytes[0], bytes.size() - 1);
    for (std::size_t i = 0; i < size; ++i) {
      char byte[4];
      std::snprintf(byte, sizeof byte, " %02x", bytes[i + 1]);
      text += byte;
    }
    return text;
  }
  for (const std::uint64_t value : error.data) text += " " + hexadecimal(value);
  return text;
}

// What the guest needs of failed memory is no reason to end for this process.
std::pair<kvm::Exit, std::optional<std::uintptr_t>> run_trapped(kvm::Vcpu& vcpu) noexcept {
  MemoryErrorTrap trap;
  const kvm::Exit exit = vcpu.run();
  return {exit, trap.take()};
}

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

}  // namespace

VcpuThreads::VcpuThreads(std::vector<std::unique_ptr<kvm::Vcpu>> vcpus, Environment environment)
    : slots_(vcpus.size()),
      environment_(std::move(environment)),
      own_counters_(std::make_unique<VcpuCounters[]>(vcpus.size())) {
  for (std::size_t i = 0; i < vcpus.size(); ++i) {
    slots_[i].is_present = vcpus[i] != nullptr;
    slots_[i].vcpu = std::move(vcpus[i]);
  }
  install_kick_handler();
}

VcpuThreads::~VcpuThreads() {
  stop();
}

void VcpuThreads::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    request_.store(Request::end);
  }
  kick();
  changed_.notify_all();
  for (auto& slot : slots_) {
    if (slot.thread.joinable()) slot.thread.join();
    const std::lock_guard lock(mutex_);
    slot.thread = {};
  }
}

VcpuCounters& VcpuThreads::counters(std::size_t index) noexcept {
  if (environment_.counters != nullptr && index < kMaximumCountedVcpus) {
    return environment_.counters->vcpus[index];
  }
  return own_counters_[index];
}

void VcpuThreads::start_thread(std::size_t index) {
  const std::lock_guard lock(mutex_);
  slots_[index].is_leaving = false;
  slots_[index].thread = std::thread([this, index] { main(index); });
  ++threads_;
}

// Each has its name and has told its id when the caller looks for them.
void VcpuThreads::wait_until_parked() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return parked_ == threads_; });
}

void VcpuThreads::start() {
  started_ = true;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].is_present) start_thread(i);
  }
  wait_until_parked();
}

void VcpuThreads::add(std::size_t index, std::unique_ptr<kvm::Vcpu> vcpu) {
  Slot& slot = slots_.at(index);
  if (vcpu) slot.vcpu = std::move(vcpu);
  if (started_) {
    start_thread(index);
    wait_until_parked();
  }
  const std::lock_guard lock(mutex_);
  slot.is_present = true;
}

void VcpuThreads::remove(std::size_t index) {
  Slot& slot = slots_.at(index);
  {
    const std::lock_guard lock(mutex_);
    slot.is_present = false;
    slot.is_leaving = true;
  }
  changed_.notify_all();
  if (!slot.thread.joinable()) return;
  slot.thread.join();
  const std::lock_guard lock(mutex_);
  slot.thread = {};
  --threads_;
  counters(index).thread_id.store(0, std::memory_order_relaxed);
}

void VcpuThreads::resume() {
  {
    const std::lock_guard lock(mutex_);
    if (request_.load() != Request::pause) return;
    request_.store(Request::run);
  }
  changed_.notify_all();
}

void VcpuThreads::request_pause() noexcept {
  auto expected = Request::run;
  if (request_.compare_exchange_strong(expected, Request::pause)) kick();
}

void VcpuThreads::pause() {
  request_pause();
  wait_until_parked();
}

// Each vCPU looks at the request between two runs. immediate_exit ends a run that is about to begin, the
// signal one that has begun.
void VcpuThreads::kick() noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& slot : slots_) {
    if (!slot.thread.joinable()) continue;
    slot.vcpu->request_exit();
    ::pthread_kill(slot.thread.native_handle(), kick_signal());
  }
}

bool VcpuThreads::park(const Slot& slot) {
  std::unique_lock lock(mutex_);
  ++parked_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return request_.load() != Request::pause || slot.is_leaving; });
  --parked_;
  if (request_.load() == Request::end || slot.is_leaving) return false;
  // A pause that comes now sets it again, or is seen before the next run.
  slot.vcpu->clear_exit_request();
  return true;
}

void VcpuThreads::main(std::size_t index) {
  kvm::Vcpu& vcpu = *slots_[index].vcpu;
  ::pthread_setname_np(::pthread_self(), ("vcpu" + std::to_string(index)).c_str());
  VcpuCounters& statistics = counters(index);
  statistics.thread_id.store(static_cast<std::uint64_t>(::gettid()), std::memory_order_relaxed);
  if (environment_.thread_started) environment_.thread_started(ThreadKind::vcpu);
  bool access_in_flight = false;
  for (;;) {
    if (request_.load() != Request::run) [[unlikely]] {
      // The registers only show a port or memory access as done once KVM has run again (api.rst §5).
      if (std::exchange(access_in_flight, false)) vcpu.complete_access();
      if (!park(slots_[index])) return;
      continue;
    }
    const auto [exit, failed] = run_trapped(vcpu);
    count(statistics.exits);
    if (failed) [[unlikely]] {
      // KVM has done nothing that would have to be handled.
      access_in_flight = false;
      request_pause();
      environment_.stopped(GuestMemoryFailed{index, *failed});
      continue;
    }
    access_in_flight =
        std::holds_alternative<kvm::PortAccess>(exit) || std::holds_alternative<kvm::MmioAccess>(exit);
    if (!handle(index, exit)) request_pause();
  }
}

bool VcpuThreads::handle(std::size_t index, const kvm::Exit& exit) {
  const auto on_port = [&](const kvm::PortAccess& access) {
    count(counters(index).port_exits);
    for (std::size_t done = 0; done < access.data.size(); done += access.size) {
      const auto element = access.data.subspan(done, access.size);
      if (access.is_write) {
        environment_.ports.write(access.port, element);
      } else {
        environment_.ports.read(access.port, element);
      }
    }
    return true;
  };
  const auto on_memory = [&](const kvm::MmioAccess& access) {
    count(counters(index).mmio_exits);
    if (access.is_write) {
      environment_.memory.write(access.address.value, access.data);
    } else {
      environment_.memory.read(access.address.value, access.data);
    }
    return true;
  };
  const auto crashed = [&](const std::string& what) {
    crash(index, what);
    return false;
  };
  return std::visit(
      Overloaded{on_port, on_memory, [](kvm::Interrupted) { return true; },
                 [&](kvm::Halted) { return crashed("halted without an interrupt controller in the kernel"); },
                 [&](kvm::TripleFault) { return crashed("triple fault"); },
                 [&](const kvm::InternalError& error) { return crashed(describe(error)); },
                 [&](const kvm::EntryFailure& failure) {
                   return crashed("the processor refused to enter the guest, reason " +
                                  hexadecimal(failure.hardware_reason));
                 },
                 [&](const kvm::SystemEvent& event) {
                   if (event.type != KVM_SYSTEM_EVENT_SHUTDOWN && event.type != KVM_SYSTEM_EVENT_RESET) {
                     return crashed("system event " + std::to_string(event.type));
                   }
                   request_pause();
                   environment_.stopped(event.type == KVM_SYSTEM_EVENT_RESET ? GuestEvent(GuestReset{})
                                                                             : GuestEvent(GuestShutDown{}));
                   return false;
                 },
                 [&](kvm::RunFailure failure) {
                   return crashed(
                       "KVM_RUN failed: " +
                       std::make_error_code(static_cast<std::errc>(failure.error_number)).message());
                 },
                 [&](kvm::UnknownExit unknown) {
                   return crashed("exit of unknown reason " + std::to_string(unknown.reason));
                 }},
      exit);
}

void VcpuThreads::crash(std::size_t index, const std::string& what) {
  request_pause();
  environment_.stopped(
      GuestCrashed{"vCPU " + std::to_string(index) + ": " + what + "; " + slots_[index].vcpu->describe()});
}

void VcpuThreads::inspect(InspectNode& node) const {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].is_present) continue;
    const VcpuCounters& statistics = const_cast<VcpuThreads*>(this)->counters(i);
    InspectNode& child = node.child("vcpu" + std::to_string(i));
    child.add("thread", statistics.thread_id.load(std::memory_order_relaxed));
    child.add("exits", statistics.exits.load(std::memory_order_relaxed));
    child.add("port_exits", statistics.port_exits.load(std::memory_order_relaxed));
    child.add("mmio_exits", statistics.mmio_exits.load(std::memory_order_relaxed));
  }
}

}  // namespace warren::vmm::machine
