#include "vmm-core/worker/worker.h"

#include <new>
#include <utility>
#include <variant>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/describe/enum_to_string.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/os/error.h"
#include "vmm-core/worker/version.h"

namespace warren::vmm::worker {
namespace {

using control::MachineState;
using control::StateCause;

FileDescriptor make_counters_file() {
  FileDescriptor file(::memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file || ::ftruncate(file.get(), sizeof(CountersPage)) != 0) throw_errno("counters page");
  // A reader may trust its size.
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    throw_errno("counters page");
  return file;
}

CountersPage* map_counters(const FileDescriptor& file) {
  void* mapped = ::mmap(nullptr, sizeof(CountersPage), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) throw_errno("map the counters page");
  auto* page = new (mapped) CountersPage;  // the memfd is zeros, which is what new counters are
  page->magic = kCountersMagic;
  page->version = kCountersVersion;
  page->size = sizeof(CountersPage);
  return page;
}

}  // namespace

Worker::Worker(boost::asio::io_context& loop, Surroundings surroundings)
    : loop_(loop),
      surroundings_(std::move(surroundings)),
      counters_file_(make_counters_file()),
      counters_(map_counters(counters_file_)),
      disks_(
          loop, [this](block::Disk& device) { disk_has_news(device); },
          [this](const std::string& id) { block_jobs_.forget(id); }),
      block_jobs_(
          loop, [this](const std::string& id) { block_job_changed(id); },
          [hook = surroundings_.thread_started] {
            if (hook) hook(ThreadKind::io);
          }),
      ports_(loop,
             [this](const std::string& id, bool open) {
               if (surroundings_.port_changed) surroundings_.port_changed({id, open});
             }),
      balloon_watch_(loop, [this] {
        if (surroundings_.balloon_changed)
          surroundings_.balloon_changed({counters_->balloon.actual_bytes.load(std::memory_order_relaxed)});
      }) {
  if (surroundings_.memory_errors) follow_memory_errors();
}

Worker::~Worker() {
  block_jobs_.clear();
  dump_.reset();
  evdevs_.clear();
  machine_.reset();
  threads_.clear();
  ::munmap(counters_, sizeof(CountersPage));
}

void Worker::require(bool holds, const char* command) const {
  if (holds) return;
  throw Error(std::errc::operation_not_permitted,
              std::string(command) + " while the machine is " + boost::describe::enum_to_string(state_, "?"));
}

void Worker::enter(MachineState state, StateCause cause, const std::string& detail) {
  state_ = state;
  cause_ = cause;
  detail_ = detail;
  if (surroundings_.changed) surroundings_.changed({state, cause, detail});
}

std::function<void()> Worker::io_thread_hook() const {
  return [hook = surroundings_.thread_started] {
    if (hook) hook(ThreadKind::io);
  };
}

EventThread& Worker::make_thread(const std::string& name) {
  threads_.push_back(std::make_unique<EventThread>(name, io_thread_hook()));
  return *threads_.back();
}

void Worker::configure(const control::MachineSpecification& specification,
                       control::DescriptorSet descriptors) {
  require(state_ == MachineState::unconfigured, "configure");
  try {
    auto configuration = translate(specification, descriptors);
    machine_ = std::make_unique<machine::Machine>(
        std::move(configuration), [this](const machine::GuestEvent& event) {
          boost::asio::post(loop_, [this, event] { guest_event(event); });
        });
  } catch (...) {
    evdevs_.clear();
    balloon_ = nullptr;
    iothreads_.clear();
    device_threads_.clear();
    used_iothreads_.clear();
    shared_thread_ = nullptr;
    threads_.clear();
    interfaces_.clear();
    inputs_.clear();
    memory_devices_.clear();
    vhost_user_disks_.clear();
    vhost_user_interfaces_.clear();
    optical_drives_.clear();
    scsi_controllers_.clear();
    scsi_units_.clear();
    for (auto& slot : counters_->disks) slot.owner.store(0);
    for (auto& slot : counters_->interfaces) slot.owner.store(0);
    throw;
  }
  uuid_ = specification.uuid;
  on_reset_ = specification.on_reset;
  enter(MachineState::prepared, StateCause::command);
}

void Worker::start(bool paused) {
  require(state_ == MachineState::prepared, "start");
  machine_->start(paused);
  enter(paused ? MachineState::paused : MachineState::running, StateCause::command);
}

void Worker::pause() {
  require(state_ == MachineState::running || state_ == MachineState::paused, "pause");
  machine_->pause();
  enter(MachineState::paused, StateCause::command);
}

void Worker::resume() {
  require(state_ == MachineState::running || state_ == MachineState::paused, "resume");
  machine_->resume();
  enter(MachineState::running, StateCause::command);
}

void Worker::reset() {
  require(machine_ != nullptr && state_ != MachineState::prepared, "reset");
  machine_->reset();
  ++resets_;
  // A machine that had come to its end runs again; one that was paused stays so.
  enter(state_ == MachineState::paused ? MachineState::paused : MachineState::running, StateCause::command);
}

void Worker::power_button() {
  require(
      state_ == MachineState::running || state_ == MachineState::paused || state_ == MachineState::suspended,
      "power_button");
  // A guest that has not enabled the button does not notice, as on a real machine: that is no error.
  machine_->press_power_button();
}

void Worker::ctrl_alt_del() {
  require(state_ == MachineState::running || state_ == MachineState::paused, "ctrl_alt_del");
  if (!machine_->press_ctrl_alt_del()) {
    throw Error(std::errc::resource_unavailable_try_again,
                "ctrl_alt_del: the guest does not read its keyboard");
  }
}

void Worker::wake() {
  require(state_ == MachineState::suspended, "wake");
  wake_guest(StateCause::command);
}

void Worker::wake_guest(StateCause cause) {
  try {
    if (machine_->wake()) return enter(MachineState::running, cause);
  } catch (const Error& error) {
    return enter(MachineState::crashed, StateCause::host_error, error.what());
  }
  ++resets_;
  enter(MachineState::running, StateCause::guest_reset);
}

// Told of by whatever thread it happens on: it may have come to nothing by now.
void Worker::guest_may_wake() {
  if (state_ == MachineState::suspended && machine_->wakes()) wake_guest(StateCause::guest_wakeup);
}

void Worker::guest_event(const machine::GuestEvent& event) {
  if (const auto* crashed = std::get_if<machine::GuestCrashed>(&event)) {
    return enter(MachineState::crashed, StateCause::crash, crashed->reason);
  }
  if (const auto* shut_down = std::get_if<machine::GuestShutDown>(&event)) {
    return enter(MachineState::shut_down,
                 shut_down->is_hibernation ? StateCause::guest_hibernation : StateCause::guest_shutdown);
  }
  if (std::holds_alternative<machine::GuestSuspended>(event)) {
    machine_->sleep();
    enter(MachineState::suspended, StateCause::guest_suspend);
    // What wakes it may have happened before this thread knew that it sleeps.
    return guest_may_wake();
  }
  if (const auto* failed = std::get_if<machine::GuestMemoryFailed>(&event))
    return memory_failed(failed->address, failed->vcpu, true);
  guest_was_reset();
}

void Worker::guest_was_reset() {
  ++resets_;
  if (on_reset_ == control::GuestAction::stop) return enter(MachineState::shut_down, StateCause::guest_reset);
  try {
    machine_->reset();
  } catch (const Error& error) {
    return enter(MachineState::crashed, StateCause::host_error, error.what());
  }
  enter(state_ == MachineState::paused ? MachineState::paused : MachineState::running,
        StateCause::guest_reset);
}

control::Status Worker::status() const {
  control::Status status;
  status.version = kVersion;
  status.uuid = uuid_;
  status.state = state_;
  status.cause = cause_;
  status.detail = detail_;
  status.resets = resets_;
  status.stalled_disks = disks_.stalled();
  status.block_jobs = block_jobs_.all();
  status.open_ports = ports_.open_ports();
  status.lost_interfaces = lost_interfaces();
  status.open_trays.assign(open_trays_.begin(), open_trays_.end());
  if (machine_) {
    status.devices = machine_->device_names();
    for (const auto& [id, place] : scsi_units_) status.devices->push_back(id);
    status.vcpus = machine_->present_vcpus();
    status.memory_devices = memory_device_status();
    status.ports.emplace();
    for (const auto& [id, place] : console_ports_) status.ports->push_back(id);
  }
  return status;
}

void Worker::inspect(InspectNode& root) const {
  root.add("version", kVersion);
  root.add("state", std::string(boost::describe::enum_to_string(state_, "?")));
  root.add("detail", detail_);
  root.add("resets", resets_);
  for (const auto& evdev : evdevs_) root.child(evdev->id()).add("grabbed", evdev->is_grabbed());
  block_jobs_.inspect(root.child("block_jobs"));
  if (machine_) machine_->inspect(root.child("machine"));
}

FileDescriptor Worker::counters() const {
  return counters_file_.duplicate();
}

void Worker::quit() {
  surroundings_.quit();
}

}  // namespace warren::vmm::worker
