// What the control protocol's probes do to the machine.
#include <algorithm>
#include <chrono>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "vmm-core/os/error.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

using control::MachineState;

void Worker::inject_nmi() {
  require(state_ == MachineState::running || state_ == MachineState::paused, "inject_nmi");
  machine_->inject_nmi();
}

void Worker::set_reset_action(control::GuestAction action) {
  on_reset_ = action;
}

std::vector<std::byte> Worker::read_memory(const control::ReadMemory& range) {
  require(machine_ != nullptr, "read_memory");
  std::vector<std::byte> bytes(range.size);
  const bool found = range.is_virtual ? machine_->read_virtual(range.address, bytes)
                                      : machine_->memory().read(GuestAddress{range.address}, bytes);
  if (!found) throw Error(std::errc::bad_address, "read_memory: not all of the range is guest memory");
  return bytes;
}

void Worker::dump(const control::BeginDump& how, FileDescriptor file) {
  require(machine_ != nullptr && state_ != MachineState::prepared, "dump");
  if (dump_ && dump_->state() == machine::CoreDump::State::active)
    throw Error(std::errc::device_or_resource_busy, "dump: there is one under way");
  dump_.reset();
  const bool runs = state_ == MachineState::running;
  if (runs && !how.live) throw Error(std::errc::operation_not_permitted, "dump: the machine is not paused");
  if (runs) machine_->pause();
  auto registers = machine_->registers();
  if (runs) machine_->resume();
  std::vector<std::shared_ptr<DeviceMemory>> devices;
  for (const auto& [id, memory] : machine_->device_memories()) devices.push_back(memory);
  dump_ = std::make_unique<machine::CoreDump>(std::move(file), machine_->memory(), std::move(devices),
                                              std::move(registers), io_thread_hook());
}

control::DumpStatus Worker::dump_status() const {
  if (!dump_) return {};
  control::DumpStatus status;
  switch (dump_->state()) {
    case machine::CoreDump::State::active:
      status.state = control::DumpState::active;
      break;
    case machine::CoreDump::State::complete:
      status.state = control::DumpState::complete;
      break;
    case machine::CoreDump::State::failed:
      status.state = control::DumpState::failed;
      break;
    case machine::CoreDump::State::aborted:
      status.state = control::DumpState::aborted;
      break;
  }
  if (status.state != control::DumpState::active) dump_->release_devices();
  status.total_bytes = dump_->total_bytes();
  status.written_bytes = dump_->written_bytes();
  status.error = dump_->error();
  return status;
}

void Worker::abort_dump() {
  if (dump_) dump_->abort();
}

void Worker::add_iothread(std::uint32_t id) {
  require(machine_ != nullptr, "add_iothread");
  if (iothreads_.contains(id)) throw Error(std::errc::file_exists, "IOThread " + std::to_string(id));
  iothreads_[id] = {&make_thread("iothread" + std::to_string(id)), 0};
}

void Worker::delete_iothread(std::uint32_t id) {
  const auto found = iothreads_.find(id);
  if (found == iothreads_.end())
    throw Error(std::errc::no_such_file_or_directory, "IOThread " + std::to_string(id));
  if (found->second.users != 0)
    throw Error(std::errc::device_or_resource_busy, "IOThread " + std::to_string(id) + " serves a disk");
  std::erase_if(threads_, [&](const auto& thread) { return thread.get() == found->second.thread; });
  iothreads_.erase(found);
}

void Worker::start_dirty_rate(std::uint32_t seconds) {
  require(state_ == MachineState::running || state_ == MachineState::paused, "start_dirty_rate");
  if (dirty_rate_.is_measuring)
    throw Error(std::errc::device_or_resource_busy, "start_dirty_rate: there is one");
  machine_->start_dirty_log();
  dirty_rate_.is_measuring = true;
  auto timer = std::make_shared<boost::asio::steady_timer>(loop_, std::chrono::seconds(seconds));
  timer->async_wait([this, timer, seconds](boost::system::error_code cancelled) {
    if (cancelled || !machine_) return;
    constexpr std::uint64_t kPage = 4096;
    try {
      dirty_rate_ = {
          .is_measuring = false, .dirty_bytes = machine_->stop_dirty_log() * kPage, .seconds = seconds};
    } catch (const Error&) {
      dirty_rate_.is_measuring = false;  // what was measured last stands
    }
  });
}

control::KvmStatisticsFiles Worker::kvm_statistics() {
  require(machine_ != nullptr, "kvm_statistics");
  control::KvmStatisticsFiles statistics{.files = machine_->statistics(), .names = {}};
  if (statistics.files.empty()) return statistics;
  statistics.names.vcpus = machine_->present_vcpus();
  constexpr std::size_t kMost = control::kMaximumDescriptorsPerMessage;
  if (statistics.files.size() > kMost) {
    statistics.files.resize(kMost);
    statistics.names.vcpus.resize(kMost - 1);
  }
  return statistics;
}

}  // namespace warren::vmm::worker
