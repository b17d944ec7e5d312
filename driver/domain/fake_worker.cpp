// A worker without a machine, for the tests of driver/domain: the real control protocol in a real process.
//
// Its guest obeys its console, line by line: "poweroff", "reset", "crash TEXT", "pause" (as a host error
// would), "balloon BYTES", "watchdog pause|poweroff|reset", "disk-fault ALIAS ERRNO stop|report",
// "disk-threshold ALIAS BYTES EXCESS", "job ALIAS ready|completed|failed", "open ID" and "close ID" (of a
// channel), "let-go ALIAS" (of a device), "keep ALIAS", "memory ALIAS BYTES" (is what the guest has of it),
// "bad-memory" (of the guest's), "let-go-vcpu N", "keep-vcpu N", "sleep" (S3), "alarm" (which wakes it),
// "hibernate" (S4), "disconnect" (the control socket goes, the process stays), "exit"; anything else is
// echoed. Words on the kernel's command line set it up: "ignore-power-button", "refuse-configure",
// "slow-start", "resettable" (a machine that is shut down can be reset), "refuse-plug", "exit-at-plug",
// "keep-devices" (until "let-go"), "refuse-link", "refuse-jobs", "exit-at-job", "slow-pivot",
// "exit-at-pivot", "refuse-wake", "refuse-memory", "refuse-vcpus", "keep-vcpus" (until "let-go-vcpu").
#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/control/server.h"
#include "vmm-core/os/error.h"
#include "vmm-core/state/counters.h"

namespace {

constexpr useconds_t kLate = 2'000'000;  // longer than the tests' deadline

namespace asio = boost::asio;
using namespace warren::vmm;
using control::MachineState;
using control::StateCause;

class FakeMachine final : public control::Commands {
 public:
  explicit FakeMachine(asio::io_context& loop) : loop_(loop), console_(loop) {
    status_.version = "fake";
    page_file_.reset(::memfd_create("counters", MFD_CLOEXEC));
    if (!page_file_ || ::ftruncate(page_file_.get(), sizeof(CountersPage)) != 0) throw_errno("counters");
    // A mapping of a file of exactly this size, for as long as the process lives.
    page_ = static_cast<CountersPage*>(
        ::mmap(nullptr, sizeof(CountersPage), PROT_READ | PROT_WRITE, MAP_SHARED, page_file_.get(), 0));
    page_->magic = kCountersMagic;
    page_->version = kCountersVersion;
    page_->size = sizeof(CountersPage);
    page_->vcpus[0].thread_id = static_cast<std::uint64_t>(::gettid());
    page_->disks[0].owner = counters_owner("virtio-disk0");
    page_->interfaces[0].owner = counters_owner("net0");
    page_->disks[0].read_requests = 7;
    page_->disks[0].write_bytes = 4096;
    page_->interfaces[0].receive_packets = 3;
    page_->balloon.actual_bytes = 128 << 20;
    page_->balloon.statistics_time = 1'600'000'000;
    page_->balloon.statistics_present = 0b110011;
    page_->balloon.statistics[0] = ~std::uint64_t{0};
    page_->balloon.statistics[1] = 2048;
    page_->balloon.statistics[4] = 64 << 20;
    page_->balloon.statistics[5] = 120 << 20;
  }

  void serve(FileDescriptor listener) { server_.emplace(loop_, std::move(listener), *this); }

  void configure(const control::MachineSpecification& machine, control::DescriptorSet descriptors) override {
    command_line_ = machine.boot.command_line;
    if (has_word("refuse-configure"))
      throw Error(std::errc::invalid_argument, "fake worker was told to refuse");
    status_.uuid = machine.uuid;
    status_.devices.emplace();
    for (const auto& disk : machine.disks) status_.devices->push_back(disk.id);
    for (const auto& controller : machine.scsi_controllers) status_.devices->push_back(controller.id);
    for (const auto& interface : machine.interfaces) status_.devices->push_back(interface.id);
    for (const auto& rng : machine.rngs) status_.devices->push_back(rng.id);
    for (const auto& vsock : machine.vsocks) status_.devices->push_back(vsock.id);
    for (const auto& disk : machine.vhost_user_disks) status_.devices->push_back(disk.id);
    for (const auto& input : machine.inputs) status_.devices->push_back(input.id);
    for (const auto& device : machine.host_devices) status_.devices->push_back(device.id);
    status_.memory_devices.emplace();
    for (const auto& memory : machine.virtio_memories) add_virtio_memory(memory);
    for (const auto& dimm : machine.dimms) add_dimm(dimm);
    status_.vcpus.emplace();
    for (std::uint32_t i = 0; i < machine.cpu.vcpus; ++i)
      if (std::ranges::find(machine.cpu.absent, i) == machine.cpu.absent.end()) status_.vcpus->push_back(i);
    if (machine.watchdog) status_.devices->push_back(machine.watchdog->id);
    status_.block_jobs.emplace();
    status_.ports.emplace();
    for (const auto& controller : machine.serial_controllers)
      for (const auto& port : controller.ports) status_.ports->push_back(port.id);
    status_.state = MachineState::prepared;
    descriptors_ = std::move(descriptors);
    auto master = descriptors_.find("serial0");
    if (master != descriptors_.end()) open_console(std::move(master->second));
  }
  void start(bool paused) override {
    if (status_.state != MachineState::prepared) throw Error(std::errc::invalid_argument, "not prepared");
    if (has_word("slow-start")) ::usleep(400'000);
    status_.state = paused ? MachineState::paused : MachineState::running;
  }
  void pause() override {
    require(MachineState::running);
    if (has_word("late-pause")) ::usleep(kLate);
    change(MachineState::paused, StateCause::command);
  }
  void resume() override {
    require(MachineState::paused);
    status_.state = MachineState::running;
    status_.stalled_disks.clear();
  }
  void reset() override {
    bool ended = status_.state == MachineState::shut_down || status_.state == MachineState::crashed;
    if (ended && !has_word("resettable"))
      throw Error(std::errc::operation_not_permitted, "machine has ended");
    if (ended) status_.state = MachineState::running;
    ++status_.resets;
  }
  void power_button() override {
    require(MachineState::running);
    if (!has_word("ignore-power-button")) obey("poweroff");
  }
  void ctrl_alt_del() override {}
  void wake() override {
    if (has_word("refuse-wake")) throw Error(std::errc::io_error, "fake worker was told to refuse");
    require(MachineState::suspended);
    status_.state = MachineState::running;
  }
  void resize_disk(const control::ResizeDisk& command) override {
    if (command.bytes == 512) throw Error(std::errc::file_too_large, "fake worker was told to refuse");
    tell("resize " + command.id + " " + std::to_string(command.bytes));
  }
  void set_disk_limits(const control::SetDiskLimits& command) override {
    if (command.limits.operation_bytes == 13)
      throw Error(std::errc::invalid_argument, "fake worker was told to refuse");
    tell("limits " + command.id + " [" + command.limits.group + "] " +
         std::to_string(command.limits.total_bytes.rate) + " " +
         std::to_string(command.limits.total_bytes.burst));
  }
  void set_disk_threshold(const control::SetDiskThreshold& command) override {
    tell("threshold " + command.id + " " + std::to_string(command.bytes));
  }
  control::DiskSizes disk_sizes() const override { return {{{"virtio-disk0", 1 << 20}}}; }
  void set_balloon(const control::SetBalloon& command) override {
    last_probe_ = "balloon " + std::to_string(command.bytes);
  }
  // A job goes on until its guest's console says otherwise: "job ID ready|completed|cancelled|failed". Of
  // what it is told it does at once what it can, but for a pivot with the word "slow-pivot".
  void start_block_commit(const control::StartBlockCommit& command,
                          control::DescriptorSet descriptors) override {
    const bool is_active = command.top == 0;
    begin_job(command.id, is_active ? control::BlockJobKind::active_commit : control::BlockJobKind::commit);
    tell("commit " + command.id + " " + std::to_string(command.top) + ".." + std::to_string(command.base) +
         " named " + (command.backing ? command.backing->file : "nothing") + " with " +
         std::to_string(descriptors.size()));
  }
  void start_block_pull(const control::StartBlockPull& command) override {
    begin_job(command.id, control::BlockJobKind::pull);
    tell("pull " + command.id + " to " + (command.base ? std::to_string(*command.base) : "all") + " named " +
         command.backing.file);
  }
  void start_block_copy(const control::StartBlockCopy& command, control::DescriptorSet descriptors) override {
    begin_job(command.id, control::BlockJobKind::copy);
    tell("copy " + command.id + (command.make ? " new" : "") + (command.shallow ? " shallow" : "") +
         (command.make ? " named " + command.make->backing.file : "") + " with " +
         std::to_string(descriptors.size()));
  }
  void set_block_job_speed(const control::SetBlockJobSpeed& command) override {
    job_of(command.id).speed = command.speed;
  }
  void complete_block_job(const control::CompleteBlockJob& command) override {
    control::BlockJob& job = job_of(command.id);
    if (job.state != control::BlockJobState::ready)
      throw Error(std::errc::operation_in_progress, "fake job is not ready");
    if (has_word("exit-at-pivot")) ::_exit(3);
    if (has_word("late-pivot")) ::usleep(kLate);
    job.pivoted = command.pivot;
    job.state = control::BlockJobState::completing;
    if (!has_word("slow-pivot")) end_job(command.id, control::BlockJobState::completed);
  }
  void cancel_block_job(const control::BlockJobName& command) override {
    end_job(command.id, control::BlockJobState::cancelled);
  }
  void dismiss_block_job(const control::BlockJobName& command) override {
    std::erase_if(*status_.block_jobs, [&](const auto& job) { return job.id == command.id; });
  }
  control::BlockJobs block_jobs() const override { return {*status_.block_jobs}; }

  void begin_job(const std::string& id, control::BlockJobKind kind) {
    if (has_word("late-job")) ::usleep(kLate);
    if (has_word("refuse-jobs")) throw Error(std::errc::no_space_on_device, "fake worker was told to refuse");
    if (has_word("exit-at-job")) ::_exit(3);
    for (const auto& job : *status_.block_jobs)
      if (job.id == id) throw Error(std::errc::device_or_resource_busy, "fake disk has a job");
    status_.block_jobs->push_back({.id = id, .kind = kind, .current = 10, .end = 100, .message = {}});
  }
  control::BlockJob& job_of(const std::string& id) {
    for (auto& job : *status_.block_jobs)
      if (job.id == id) return job;
    throw Error(std::errc::no_such_device, id);
  }
  void end_job(const std::string& id, control::BlockJobState state) {
    asio::post(loop_, [this, id, state] {
      control::BlockJob& job = job_of(id);
      job.state = state;
      if (state == control::BlockJobState::failed) job.message = "fake job was told to fail";
      if (server_) server_->announce(job);
    });
  }
  void set_balloon_statistics_period(const control::SetBalloonStatisticsPeriod& command) override {
    if (command.seconds == 13) throw Error(std::errc::invalid_argument, "fake worker was told to refuse");
    last_probe_ = "balloon-period " + std::to_string(command.seconds);
  }
  void plug_device(const control::PlugDevice& command, control::DescriptorSet descriptors) override {
    if (has_word("refuse-plug")) throw Error(std::errc::invalid_argument, "fake worker was told to refuse");
    if (has_word("exit-at-plug")) ::_exit(3);
    std::string id;
    for (const auto& disk : command.disks) id = disk.id;
    for (const auto& controller : command.scsi_controllers) id = controller.id;
    for (const auto& interface : command.interfaces) id = interface.id;
    for (const auto& rng : command.rngs) id = rng.id;
    for (const auto& vsock : command.vsocks) id = vsock.id;
    for (const auto& disk : command.vhost_user_disks) id = disk.id;
    for (const auto& device : command.host_devices) id = device.id;
    for (const auto& watchdog : command.watchdogs) id = watchdog.id;
    for (const auto& input : command.inputs) id = input.id;
    for (const auto& memory : command.virtio_memories) add_virtio_memory(memory);
    for (const auto& memory : command.virtio_memories) id = memory.id;
    if (command.virtio_memories.empty()) status_.devices->push_back(id);
    tell("plug " + id + " with " + std::to_string(descriptors.size()));
  }
  // "lock ID" on the console locks a tray, which then opens when it is told "open-tray ID".
  void change_medium(const control::ChangeMedium& command, control::DescriptorSet descriptors) override {
    if (has_word("refuse-medium")) throw Error(std::errc::invalid_argument, "fake worker was told to refuse");
    if (locked_trays_.contains(command.id) && !command.force)
      throw Error(std::errc::device_or_resource_busy, "fake tray is locked");
    move_tray(command.id, true);
    tell("medium " + command.id + " with " + std::to_string(descriptors.size()));
    move_tray(command.id, false);
  }
  void move_tray(const std::string& id, bool open) {
    if (std::erase(status_.open_trays, id) != 0 && open) {
      status_.open_trays.push_back(id);
      return;
    }
    if (open) {
      locked_trays_.erase(id);
      status_.open_trays.push_back(id);
    }
    if (server_) server_->announce(control::TrayMoved{id, open});
  }
  void unplug_device(const control::DeviceName& command) override {
    if (!has_word("keep-devices")) asio::post(loop_, [this, id = command.id] { let_go(id); });
  }
  void plug_port(const control::PlugPort& command, control::DescriptorSet descriptors) override {
    if (has_word("refuse-plug")) throw Error(std::errc::invalid_argument, "fake worker was told to refuse");
    if (has_word("exit-at-plug")) ::_exit(3);
    status_.ports->push_back(command.port.id);
    tell("plug port " + command.port.id + " into " + command.controller + " with " +
         std::to_string(descriptors.size()));
  }
  void unplug_port(const control::DeviceName& command) override {
    if (std::erase(*status_.ports, command.id) == 0) throw Error(std::errc::no_such_device, command.id);
  }
  void answer_vsock(const control::AnswerVsock& answer, FileDescriptor socket) override {
    tell("answer " + answer.id + " " + std::to_string(answer.request) + (socket ? " yes" : " no"));
    if (socket) static_cast<void>(!::write(socket.get(), "guest", 5));
  }
  void set_link(const control::SetLink& command) override {
    if (has_word("refuse-link")) throw Error(std::errc::invalid_argument, "fake worker was told to refuse");
    last_probe_ = "link " + command.id + (command.up ? " up" : " down");
  }
  void reconnect_interface(const control::ReconnectInterface& command,
                           control::DescriptorSet descriptors) override {
    tell("reconnect " + command.id + " with " + std::to_string(descriptors.size()));
  }
  void request_memory(const control::RequestMemory& command) override {
    if (has_word("refuse-memory")) throw Error(std::errc::invalid_argument, "fake worker was told to refuse");
    for (auto& memory : *status_.memory_devices)
      if (memory.id == command.id) memory.requested_bytes = command.bytes;
    tell("request " + command.id + " " + std::to_string(command.bytes));
  }
  void plug_dimm(const control::PlugDimm& command) override {
    if (has_word("refuse-plug")) throw Error(std::errc::invalid_argument, "fake worker was told to refuse");
    if (has_word("exit-at-plug")) ::_exit(3);
    add_dimm(command.dimm);
    tell("plug " + command.dimm.id + " in slot " + std::to_string(command.dimm.slot));
  }
  void unplug_dimm(const control::UnplugDimm& command) override {
    if (!has_word("keep-devices")) asio::post(loop_, [this, id = command.id] { let_go(id); });
  }
  void plug_vcpus(const control::VcpuNumbers& numbers) override {
    if (has_word("refuse-vcpus")) throw Error(std::errc::invalid_argument, "fake worker was told to refuse");
    if (has_word("exit-at-plug")) ::_exit(3);
    for (const std::uint32_t vcpu : numbers.vcpus) status_.vcpus->push_back(vcpu);
  }
  void unplug_vcpus(const control::VcpuNumbers& numbers) override {
    if (has_word("keep-vcpus")) return;
    for (const std::uint32_t vcpu : numbers.vcpus) asio::post(loop_, [this, vcpu] { let_vcpu_go(vcpu); });
  }
  control::Status status() const override { return status_; }
  void inspect(InspectNode& root) const override { root.add("fake", true); }
  FileDescriptor counters() const override { return page_file_.duplicate(); }
  // What was asked of it is read back through the guest's memory, which holds the last request as text.
  void inject_nmi() override { last_probe_ = "nmi"; }
  void send_keys(const control::SendKeys& keys) override {
    last_probe_ = "keys";
    for (const auto code : keys.codes) last_probe_ += " " + std::to_string(code);
    for (const auto code : keys.linux_codes) last_probe_ += " linux " + std::to_string(code);
  }
  void send_input(const control::SendInput& input) override {
    if (has_word("no-input")) throw Error(std::errc::no_such_device, "no input device takes that");
    last_probe_ = "input";
    for (const auto& event : input.events)
      last_probe_ += " " + std::to_string(event.type) + "." + std::to_string(event.code) + "=" +
                     std::to_string(event.value);
  }
  void set_reset_action(control::GuestAction action) override {
    last_probe_ = action == control::GuestAction::stop ? "stop" : "reset";
  }
  std::vector<std::byte> read_memory(const control::ReadMemory& range) override {
    if (range.address != 0) throw Error(std::errc::bad_address, "only the last request is there");
    std::vector<std::byte> bytes(range.size);
    for (std::size_t i = 0; i < bytes.size() && i < last_probe_.size(); ++i)
      bytes[i] = static_cast<std::byte>(last_probe_[i]);
    return bytes;
  }
  // The dump goes on for as long as somebody asks, or to its end with the word "quick-dump".
  void dump(const control::BeginDump&, FileDescriptor file) override {
    if (has_word("refuse-dump")) throw Error(std::errc::no_space_on_device, "dump");
    if (::write(file.get(), "core", 4) != 4) throw_errno("write");
    dump_ = {control::DumpState::active, 1000, 0, ""};
  }
  control::DumpStatus dump_status() const override {
    if (dump_.state == control::DumpState::active) dump_.written_bytes += 10;
    if (dump_.written_bytes >= 1000 || has_word("quick-dump")) dump_.state = control::DumpState::complete;
    return dump_;
  }
  void abort_dump() override { dump_.state = control::DumpState::aborted; }
  void add_iothread(std::uint32_t id) override { last_probe_ = "add " + std::to_string(id); }
  void delete_iothread(std::uint32_t id) override { last_probe_ = "delete " + std::to_string(id); }
  void start_dirty_rate(std::uint32_t) override {}
  control::DirtyRateStatus dirty_rate() const override { return {false, 64u << 20, 2}; }
  // None, as on a kernel that counts nothing.
  control::KvmStatisticsFiles kvm_statistics() override { return {}; }
  void quit() override {
    asio::post(loop_, [] { ::_exit(0); });
  }

 private:
  std::string last_probe_;
  mutable control::DumpStatus dump_;

  void require(MachineState state) const {
    if (status_.state != state) throw Error(std::errc::invalid_argument, "machine is in another state");
  }

  bool has_word(const std::string& word) const {
    return (" " + command_line_ + " ").find(" " + word + " ") != std::string::npos;
  }

  void add_virtio_memory(const control::VirtioMemorySpecification& memory) {
    status_.devices->push_back(memory.id);
    status_.memory_devices->push_back({memory.id, 0x1'4000'0000, 0, memory.requested_bytes});
  }
  void add_dimm(const control::DimmSpecification& dimm) {
    const std::uint64_t address =
        dimm.address != 0 ? dimm.address : 0x1'8000'0000 + (std::uint64_t{dimm.slot} << 30);
    status_.memory_devices->push_back({dimm.id, address, dimm.memory.bytes, dimm.memory.bytes});
    page_->balloon.actual_bytes += dimm.memory.bytes;
  }
  // "memory ID BYTES" on the console: the guest has so much of it.
  void resize_memory(std::istringstream words) {
    control::MemoryResized resized;
    words >> resized.id >> resized.bytes;
    for (auto& memory : *status_.memory_devices)
      if (memory.id == resized.id) memory.bytes = resized.bytes;
    server_->announce(resized);
  }

  void let_go(const std::string& id) {
    std::erase(*status_.devices, id);
    std::erase_if(*status_.memory_devices, [&](const auto& memory) {
      if (memory.id == id && id.starts_with("dimm")) page_->balloon.actual_bytes -= memory.bytes;
      return memory.id == id;
    });
    if (server_) server_->announce_unplugged(control::DeviceName{id});
  }

  void let_vcpu_go(std::uint32_t vcpu) {
    std::erase(*status_.vcpus, vcpu);
    if (server_) server_->announce_unplugged(control::VcpuNumber{vcpu});
  }

  void open_console(FileDescriptor master) {
    // With a slave of its own the master never sees a hang-up.
    char name[64];
    if (::ptsname_r(master.get(), name, sizeof(name)) != 0) throw_errno("ptsname");
    slave_.reset(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    console_.assign(master.release());
    read_console();
  }

  void read_console() {
    console_.async_read_some(asio::buffer(buffer_),
                             [this](boost::system::error_code failed, std::size_t size) {
                               if (failed) return;
                               line_.append(buffer_, size);
                               for (std::size_t end; (end = line_.find('\n')) != std::string::npos;) {
                                 std::string line = line_.substr(0, end);
                                 line_.erase(0, end + 1);
                                 obey(line);
                               }
                               read_console();
                             });
  }

  void change(MachineState state, StateCause cause, const std::string& detail = {}) {
    status_.state = state;
    status_.cause = cause;
    status_.detail = detail;
    if (server_) server_->announce({state, cause, detail});
  }

  void obey(const std::string& line) {
    if (line == "poweroff") {
      change(MachineState::shut_down, StateCause::guest_shutdown);
    } else if (line == "sleep") {
      change(MachineState::suspended, StateCause::guest_suspend);
    } else if (line == "alarm") {
      change(MachineState::running, StateCause::guest_wakeup);
    } else if (line == "hibernate") {
      change(MachineState::shut_down, StateCause::guest_hibernation);
    } else if (line == "reset") {
      ++status_.resets;
      change(MachineState::running, StateCause::guest_reset);
    } else if (line.starts_with("open ") || line.starts_with("close ")) {
      const control::PortChanged change{line.substr(line.find(' ') + 1), line[0] == 'o'};
      std::erase(status_.open_ports, change.id);
      if (change.open) status_.open_ports.push_back(change.id);
      if (server_) server_->announce(change);
    } else if (line.starts_with("lock ")) {
      locked_trays_.insert(line.substr(5));
    } else if (line.starts_with("open-tray ") || line.starts_with("close-tray ")) {
      move_tray(line.substr(line.find(' ') + 1), line[0] == 'o');
    } else if (line.starts_with("clock ")) {
      if (server_) server_->announce(control::ClockSet{std::stoll(line.substr(6))});
    } else if (line.starts_with("crash ")) {
      change(MachineState::crashed, StateCause::crash, line.substr(6));
    } else if (line == "pause") {
      change(MachineState::paused, StateCause::host_error, "no space");
    } else if (line.starts_with("balloon ")) {
      page_->balloon.actual_bytes = std::stoull(line.substr(8));
      server_->announce(control::BalloonChanged{page_->balloon.actual_bytes});
    } else if (line.starts_with("vsock ")) {
      const auto port = static_cast<std::uint32_t>(std::stoul(line.substr(6)));
      server_->announce(control::VsockConnectionWanted{"vsock0", 5, port});
    } else if (line.starts_with("watchdog ")) {
      expire(line.substr(9));
    } else if (line.starts_with("disk-fault ")) {
      std::istringstream words(line.substr(11));
      control::DiskFault fault{.id = {}, .writes = true};
      std::string action;
      words >> fault.id >> fault.error >> action;
      fault.action = action == "stop" ? control::DiskFaultAction::stop : control::DiskFaultAction::report;
      server_->announce(fault);
      if (action != "stop") return;
      status_.stalled_disks = {{fault.id, fault.error}};
      change(MachineState::paused, StateCause::host_error, "a write failed");
    } else if (line.starts_with("job ")) {
      std::istringstream words(line.substr(4));
      std::string id, state;
      words >> id >> state;
      using State = control::BlockJobState;
      if (state == "ready") end_job(id, State::ready);
      if (state == "completed") end_job(id, State::completed);
      if (state == "failed") end_job(id, State::failed);
    } else if (line.starts_with("disk-threshold ")) {
      std::istringstream words(line.substr(15));
      control::DiskThresholdCrossed crossed;
      words >> crossed.id >> crossed.threshold >> crossed.excess;
      server_->announce(crossed);
    } else if (line.starts_with("memory ")) {
      resize_memory(std::istringstream(line.substr(7)));
    } else if (line.starts_with("keep ")) {
      server_->announce_kept(control::DeviceName{line.substr(5)});
    } else if (line.starts_with("let-go-vcpu ")) {
      let_vcpu_go(static_cast<std::uint32_t>(std::stoul(line.substr(12))));
    } else if (line.starts_with("keep-vcpu ")) {
      server_->announce_kept({static_cast<std::uint32_t>(std::stoul(line.substr(10)))});
    } else if (line == "bad-memory") {
      server_->announce(control::MemoryFailed{.recipient = control::MemoryFailureRecipient::guest,
                                              .action = control::MemoryFailureAction::inject,
                                              .action_required = true});
    } else if (line.starts_with("let-go ")) {
      let_go(line.substr(7));
    } else if (line == "disconnect") {
      server_.reset();
    } else if (line == "exit") {
      ::_exit(3);
    } else {
      tell("echo " + line);
    }
  }

  void expire(const std::string& action) {
    const auto tell_action = [this](control::WatchdogAction what) {
      server_->announce(control::WatchdogExpired{what});
    };
    if (action == "pause") {
      tell_action(control::WatchdogAction::pause);
      change(MachineState::paused, StateCause::watchdog);
    } else if (action == "poweroff") {
      tell_action(control::WatchdogAction::poweroff);
      change(MachineState::shut_down, StateCause::watchdog);
    } else {
      tell_action(control::WatchdogAction::reset);
      obey("reset");
    }
  }

  void tell(const std::string& text) {
    boost::system::error_code ignored;
    asio::write(console_, asio::buffer(text + "\n"), ignored);
  }

  asio::io_context& loop_;
  control::Status status_;
  std::string command_line_;
  std::set<std::string> locked_trays_;
  control::DescriptorSet descriptors_;
  FileDescriptor page_file_;
  CountersPage* page_ = nullptr;
  FileDescriptor slave_;
  asio::posix::stream_descriptor console_;
  char buffer_[256];
  std::string line_;
  std::optional<control::Server> server_;
};

}  // namespace

int main(int argc, char** argv) {
  int listener = -1;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], "--control") == 0) listener = std::stoi(argv[i + 1]);
  }
  asio::io_context loop;
  FakeMachine machine(loop);
  machine.serve(FileDescriptor(listener));
  // A test that dies leaves no fakes behind for long.
  asio::steady_timer end(loop, std::chrono::seconds(60));
  end.async_wait([](boost::system::error_code) { ::_exit(4); });
  loop.run();
}
