#include "vmm-core/machine/vcpu_threads.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

#include <pthread.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

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

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

}  // namespace

VcpuThreads::VcpuThreads(std::vector<std::unique_ptr<kvm::Vcpu>> vcpus, Environment environment)
    : vcpus_(std::move(vcpus)),
      environment_(std::move(environment)),
      own_counters_(std::make_unique<VcpuCounters[]>(vcpus_.size())) {
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
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

VcpuCounters& VcpuThreads::counters(std::size_t index) noexcept {
  if (environment_.counters != nullptr && index < kMaximumCountedVcpus) {
    return environment_.counters->vcpus[index];
  }
  return own_counters_[index];
}

void VcpuThreads::start() {
  threads_.reserve(vcpus_.size());
  for (std::size_t i = 0; i < vcpus_.size(); ++i) threads_.emplace_back([this, i] { main(i); });
  // Each has its name and has told its id when the caller looks for them.
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return parked_ == threads_.size(); });
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
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return parked_ == threads_.size(); });
}

// Each vCPU looks at the request between two runs. immediate_exit ends a run that is about to begin, the
// signal one that has begun.
void VcpuThreads::kick() noexcept {
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    vcpus_[i]->request_exit();
    ::pthread_kill(threads_[i].native_handle(), kick_signal());
  }
}

bool VcpuThreads::park(kvm::Vcpu& vcpu) {
  std::unique_lock lock(mutex_);
  ++parked_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return request_.load() != Request::pause; });
  --parked_;
  if (request_.load() == Request::end) return false;
  // A pause that comes now sets it again, or is seen before the next run.
  vcpu.clear_exit_request();
  return true;
}

void VcpuThreads::main(std::size_t index) {
  kvm::Vcpu& vcpu = *vcpus_[index];
  ::pthread_setname_np(::pthread_self(), ("vcpu" + std::to_string(index)).c_str());
  VcpuCounters& statistics = counters(index);
  statistics.thread_id.store(static_cast<std::uint64_t>(::gettid()), std::memory_order_relaxed);
  if (environment_.thread_started) environment_.thread_started(ThreadKind::vcpu);
  bool access_in_flight = false;
  for (;;) {
    if (request_.load() != Request::run) [[unlikely]] {
      // The registers only show a port or memory access as done once KVM has run again (api.rst §5).
      if (std::exchange(access_in_flight, false)) vcpu.complete_access();
      if (!park(vcpu)) return;
      continue;
    }
    const kvm::Exit exit = vcpu.run();
    count(statistics.exits);
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
      GuestCrashed{"vCPU " + std::to_string(index) + ": " + what + "; " + vcpus_[index]->describe()});
}

void VcpuThreads::inspect(InspectNode& node) const {
  for (std::size_t i = 0; i < vcpus_.size(); ++i) {
    const VcpuCounters& statistics = const_cast<VcpuThreads*>(this)->counters(i);
    InspectNode& child = node.child("vcpu" + std::to_string(i));
    child.add("thread", statistics.thread_id.load(std::memory_order_relaxed));
    child.add("exits", statistics.exits.load(std::memory_order_relaxed));
    child.add("port_exits", statistics.port_exits.load(std::memory_order_relaxed));
    child.add("mmio_exits", statistics.mmio_exits.load(std::memory_order_relaxed));
  }
}

}  // namespace warren::vmm::machine
