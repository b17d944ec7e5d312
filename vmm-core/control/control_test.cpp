#include <array>
#include <filesystem>
#include <new>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm-core/control/client.h"
#include "vmm-core/control/server.h"
#include "vmm-core/control/specification_example.h"

namespace warren::vmm::control {
namespace {

using std::chrono::milliseconds;

class FakeCommands final : public Commands {
 public:
  void configure(const MachineSpecification& machine, DescriptorSet descriptors) override {
    if (refuse_configure) throw Error(std::errc::device_or_resource_busy, "memory slot 0");
    configured = machine;
    descriptors_got = std::move(descriptors);
  }
  void start(bool paused) override { log.push_back(paused ? "start paused" : "start"); }
  void pause() override { log.push_back("pause"); }
  void resume() override { log.push_back("resume"); }
  void reset() override { log.push_back("reset"); }
  void power_button() override { log.push_back("power_button"); }
  void ctrl_alt_del() override { log.push_back("ctrl_alt_del"); }
  void wake() override { log.push_back("wake"); }
  void resize_disk(const ResizeDisk& command) override {
    if (has_no_memory) throw std::bad_alloc();
    log.push_back("resize " + command.id + " " + std::to_string(command.bytes));
  }
  void set_disk_limits(const SetDiskLimits& command) override {
    log.push_back("limits " + command.id + " " + std::to_string(command.limits.read_bytes.rate));
  }
  void set_disk_threshold(const SetDiskThreshold& command) override {
    log.push_back("threshold " + command.id + " " + std::to_string(command.bytes));
  }
  DiskSizes disk_sizes() const override { return {{{"virtio-disk0", 4096}}}; }
  void start_block_commit(const StartBlockCommit& command, DescriptorSet descriptors) override {
    log.push_back("commit " + command.id + " " + std::to_string(command.top) + " to " +
                  std::to_string(command.base) + " with " + std::to_string(descriptors.size()));
  }
  void start_block_pull(const StartBlockPull& command) override {
    log.push_back("pull " + command.id + " to " + command.backing.file);
  }
  void start_block_copy(const StartBlockCopy& command, DescriptorSet descriptors) override {
    log.push_back("copy " + command.id + " with " + std::to_string(descriptors.size()));
  }
  void set_block_job_speed(const SetBlockJobSpeed& command) override {
    log.push_back("speed " + command.id + " " + std::to_string(command.speed));
  }
  void complete_block_job(const CompleteBlockJob& command) override {
    log.push_back("complete " + command.id + (command.pivot ? " pivot" : ""));
  }
  void cancel_block_job(const BlockJobName& command) override { log.push_back("cancel " + command.id); }
  void dismiss_block_job(const BlockJobName& command) override { log.push_back("dismiss " + command.id); }
  BlockJobs block_jobs() const override {
    return {{{.id = "virtio-disk0", .kind = BlockJobKind::pull, .current = 5, .end = 10}}};
  }
  void set_balloon(const SetBalloon& command) override {
    log.push_back("balloon " + std::to_string(command.bytes));
  }
  void set_balloon_statistics_period(const SetBalloonStatisticsPeriod& command) override {
    log.push_back("balloon-period " + std::to_string(command.seconds));
  }
  void plug_device(const PlugDevice& command, DescriptorSet descriptors) override {
    log.push_back("plug " + std::to_string(command.disks.size()) + " with " +
                  std::to_string(descriptors.size()));
  }
  void unplug_device(const DeviceName& command) override { log.push_back("unplug " + command.id); }
  void change_medium(const ChangeMedium& command, DescriptorSet descriptors) override {
    log.push_back("medium " + command.id + (command.force ? " by force with " : " with ") +
                  std::to_string(descriptors.size()));
  }
  void plug_port(const PlugPort& command, DescriptorSet descriptors) override {
    log.push_back("plug port " + command.port.id + " into " + command.controller + " with " +
                  std::to_string(descriptors.size()));
  }
  void unplug_port(const DeviceName& command) override { log.push_back("unplug port " + command.id); }
  void set_link(const SetLink& command) override {
    log.push_back("link " + command.id + (command.up ? " up" : " down"));
  }
  void reconnect_interface(const ReconnectInterface& command, DescriptorSet descriptors) override {
    log.push_back("reconnect " + command.id + " with " + std::to_string(descriptors.size()));
  }
  void answer_vsock(const AnswerVsock& answer, FileDescriptor socket) override {
    log.push_back("answer " + answer.id + " " + std::to_string(answer.request) +
                  (socket ? " with a socket" : " with none"));
  }
  Status status() const override { return {.version = "test", .uuid = configured.uuid, .resets = 3}; }
  void inspect(InspectNode& root) const override { root.child("serial0").add("ier", std::uint64_t{5}); }
  FileDescriptor counters() const override { return FileDescriptor(::dup(0)); }
  void inject_nmi() override { log.push_back("nmi"); }
  void send_keys(const SendKeys& keys) override {
    log.push_back("keys " + std::to_string(keys.codes.size()));
  }
  void send_input(const SendInput& input) override {
    log.push_back("input " + std::to_string(input.events.size()));
  }
  void set_reset_action(GuestAction) override {}
  std::vector<std::byte> read_memory(const ReadMemory& range) override {
    return std::vector<std::byte>(range.size, std::byte{0x5a});
  }
  void dump(const BeginDump&, FileDescriptor) override {}
  DumpStatus dump_status() const override { return {DumpState::active, 100, 40, ""}; }
  void abort_dump() override {}
  void add_iothread(std::uint32_t) override {}
  void delete_iothread(std::uint32_t) override {}
  void start_dirty_rate(std::uint32_t) override {}
  DirtyRateStatus dirty_rate() const override { return {false, 8 << 20, 2}; }
  KvmStatisticsFiles kvm_statistics() override { return {}; }
  void plug_vcpus(const VcpuNumbers& numbers) override {
    log.push_back("plug vCPUs " + std::to_string(numbers.vcpus.size()));
  }
  void request_memory(const RequestMemory& command) override {
    log.push_back("request " + command.id + " " + std::to_string(command.bytes));
  }
  void plug_dimm(const PlugDimm& command) override { log.push_back("plug " + command.dimm.id); }
  void unplug_dimm(const UnplugDimm& command) override { log.push_back("unplug " + command.id); }
  void unplug_vcpus(const VcpuNumbers& numbers) override {
    log.push_back("unplug vCPU " + std::to_string(numbers.vcpus.at(0)));
  }
  void quit() override { log.push_back("quit"); }

  bool refuse_configure = false, has_no_memory = false;
  MachineSpecification configured;
  DescriptorSet descriptors_got;
  std::vector<std::string> log;
};

class ControlTest : public testing::Test {
 protected:
  ControlTest() {
    std::string pattern = "/tmp/warren-control-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    // A deep path: longer than sockaddr_un takes.
    deep_ = directory_ + "/" + std::string(100, 'd') + "/" + std::string(100, 'e');
    std::filesystem::create_directories(deep_);
    path_ = deep_ + "/control.sock";
    server_ = std::make_unique<Server>(loop_, listen_at(path_), commands_);
  }
  ~ControlTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Client> client() {
    return std::make_unique<Client>(
        loop_, connect_to(path_),
        Client::Handlers{[this](const Status& s) { hellos_.push_back(s); },
                         [this](const StateChanged& c) { changes_.push_back(c); },
                         [this](const ClockSet& c) { clocks_.push_back(c.offset_seconds); },
                         [this](const std::string& r) { closed_.push_back("closed" + r); }});
  }

  // Until nothing has happened for a while, however slow the machine is.
  void run() {
    loop_.restart();
    while (loop_.run_one_for(milliseconds(50)) != 0) {
    }
  }

  // Answers of requests, "ok" or the error's text.
  Client::Reply<void> note() {
    return [this](std::expected<void, Error> answer) {
      answers_.push_back(answer ? "ok" : answer.error().what());
    };
  }

  boost::asio::io_context loop_;
  FakeCommands commands_;
  std::string directory_, deep_, path_;
  std::unique_ptr<Server> server_;
  std::vector<Status> hellos_;
  std::vector<StateChanged> changes_;
  std::vector<std::int64_t> clocks_;
  std::vector<std::string> closed_, answers_;
};

std::vector<FileDescriptor> descriptors(std::size_t count) {
  std::vector<FileDescriptor> made;
  for (std::size_t i = 0; i < count; ++i) made.emplace_back(::dup(0));
  return made;
}

TEST_F(ControlTest, MediaComeWithTheirDescriptors) {
  std::vector<TrayMoved> moves;
  Client peer(loop_, connect_to(path_),
              Client::Handlers{
                  .hello = {}, .state_changed = {}, .closed = {}, .tray_moved = [&](const TrayMoved& moved) {
                    moves.push_back(moved);
                  }});
  peer.change_medium({.id = "sata0-0-0", .descriptor = "medium"}, note());
  peer.add_descriptors({"medium"}, descriptors(1), note());
  peer.change_medium({.id = "sata0-0-0", .force = true, .descriptor = "medium"}, note());
  peer.change_medium({.id = "sata0-0-0"}, note());
  run();
  EXPECT_THAT(answers_, testing::ElementsAre(testing::HasSubstr("not delivered"), "ok", "ok", "ok"));
  EXPECT_THAT(commands_.log,
              testing::ElementsAre("medium sata0-0-0 by force with 1", "medium sata0-0-0 with 0"));
  server_->announce(TrayMoved{"sata0-0-0", true});
  run();
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_TRUE(moves[0].open);
}

TEST_F(ControlTest, BlockJobsAreStartedSteeredAndToldOf) {
  std::vector<BlockJob> told;
  auto peer_owner = std::make_unique<Client>(
      loop_, connect_to(path_),
      Client::Handlers{
          .hello = {}, .state_changed = {}, .closed = {}, .block_job_changed = [&](const BlockJob& job) {
            told.push_back(job);
          }});
  Client& peer = *peer_owner;
  const BackingSpecification image{.descriptor = "image", .format = ImageFormat::qcow2};
  peer.start_block_commit({.id = "d", .base_image = image}, note());
  peer.add_descriptors({"image"}, descriptors(1), note());
  peer.start_block_commit({.id = "d", .base_image = image}, note());
  peer.start_block_pull({.id = "d", .base = 2, .backing = {"/b", "raw"}}, note());
  peer.add_descriptors({"image"}, descriptors(1), note());
  peer.start_block_copy({.id = "d", .target = image}, note());
  peer.set_block_job_speed({"d", 7}, note());
  peer.complete_block_job({.id = "d"}, note());
  peer.cancel_block_job({"d"}, note());
  peer.dismiss_block_job({"d"}, note());
  std::uint64_t end = 0;
  peer.block_jobs([&](auto jobs) { end = jobs.value().jobs.at(0).end; });
  run();
  ASSERT_EQ(answers_.size(), 10u);
  EXPECT_THAT(answers_.front(), testing::HasSubstr("not delivered"));
  EXPECT_THAT(commands_.log, testing::ElementsAre("commit d 0 to 1 with 1", "pull d to /b", "copy d with 1",
                                                  "speed d 7", "complete d pivot", "cancel d", "dismiss d"));
  EXPECT_EQ(end, 10u);
  server_->announce(BlockJob{.id = "d", .state = BlockJobState::failed, .error = 28, .message = "full"});
  run();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].message, "full");
}

// The guest is not to end with a command that asks for too much.
TEST_F(ControlTest, ACommandThatFindsNoMemoryIsRefused) {
  auto peer = client();
  commands_.has_no_memory = true;
  peer->resize_disk({"d", 512}, [&](std::expected<void, Error> answer) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), std::errc::not_enough_memory);
  });
  peer->pause(note());
  run();
  EXPECT_THAT(answers_, testing::ElementsAre("ok"));
}

TEST_F(ControlTest, BlockJobsThatMakeNoSenseAreRefused) {
  auto peer_owner = client();
  Client& peer = *peer_owner;
  const BackingSpecification image{.descriptor = "image", .format = ImageFormat::qcow2};
  const BackingName name{"/b", "qcow2"};
  peer.start_block_commit({.id = "d", .top = 1, .base = 1, .base_image = image, .backing = name}, note());
  peer.start_block_commit({.id = "d", .top = 1, .base = 2, .base_image = image}, note());
  peer.start_block_commit({.id = "d", .top = 2, .base = 3, .base_image = image, .backing = name}, note());
  peer.start_block_pull({.id = "d", .base = 1, .backing = name}, note());
  peer.start_block_pull({.id = "d", .base = 2}, note());
  peer.start_block_pull({.id = "d", .base = 2, .backing = {std::string(1024, 'x'), "raw"}}, note());
  peer.start_block_pull({.id = "d", .base = 2, .backing = {"/b", "vmdk"}}, note());
  peer.start_block_copy({.id = "d"}, note());
  run();
  EXPECT_THAT(answers_,
              testing::ElementsAre(testing::HasSubstr("base: "), testing::HasSubstr("backing: "),
                                   testing::HasSubstr("overlay_image: "), testing::HasSubstr("base: "),
                                   testing::HasSubstr("backing: "), testing::HasSubstr("backing.file: "),
                                   testing::HasSubstr("backing.format: "), testing::HasSubstr("target: ")));
  EXPECT_THAT(commands_.log, testing::IsEmpty());
}

TEST_F(ControlTest, ConfiguresAndStartsInOneGo) {
  auto peer = client();
  const auto machine = example_specification();
  const auto names = descriptor_names(machine);
  peer->add_descriptors(names, descriptors(names.size()), note());
  peer->configure(machine, note());
  peer->start(true, note());
  run();
  EXPECT_THAT(answers_, testing::ElementsAre("ok", "ok", "ok"));
  EXPECT_EQ(commands_.configured.disks.at(0).serial, "serial-1");
  EXPECT_EQ(commands_.descriptors_got.size(), names.size());
  EXPECT_THAT(commands_.log, testing::ElementsAre("start paused"));
  ASSERT_EQ(hellos_.size(), 1u);
  EXPECT_EQ(hellos_[0].resets, 3u);
}

TEST_F(ControlTest, InputIsCheckedBeforeItIsDone) {
  auto peer = client();
  peer->send_input({{{.type = 1, .code = 30, .value = 1, .at_code = 0x1e}, {.type = 3, .value = -5}}},
                   note());
  peer->send_input({}, note());
  peer->send_input({std::vector<InputEventSpecification>(65, {.type = 1})}, note());
  peer->send_input({{{.type = 0}}}, note());
  peer->send_input({{{.type = 1, .at_code = 0x80}}}, note());
  peer->send_keys({{0x1e, 0x1f}, 10, {30}}, note());
  run();
  EXPECT_THAT(commands_.log, testing::ElementsAre("input 2"));
  EXPECT_THAT(answers_,
              testing::ElementsAre("ok", testing::HasSubstr("1 to 64"), testing::HasSubstr("1 to 64"),
                                   testing::HasSubstr("neither"), testing::HasSubstr("is no key"),
                                   testing::HasSubstr("not as many")));
}

TEST_F(ControlTest, ProbesAreCheckedBeforeTheyAreDone) {
  auto peer = client();
  peer->inject_nmi(note());
  peer->send_keys({{0x1e, 0xe048}, 10}, note());
  peer->send_keys({{}, 10}, note());
  peer->send_keys({{0x11e}, 10}, note());
  peer->send_keys({{0x80}, 10}, note());
  peer->send_keys({std::vector<std::uint16_t>(17, 1), 10}, note());
  peer->dump({}, FileDescriptor(::dup(0)), note());
  std::vector<std::uint8_t> bytes;
  std::string refused;
  peer->read_memory({0, 3, false}, [&](auto answer) { bytes = answer.value(); });
  peer->read_memory({0, 1u << 20, false}, [&](auto answer) { refused = answer.error().what(); });
  DumpStatus status;
  peer->dump_status([&](auto answer) { status = answer.value(); });
  run();
  EXPECT_THAT(commands_.log, testing::ElementsAre("nmi", "keys 2"));
  EXPECT_THAT(answers_,
              testing::ElementsAre("ok", "ok", testing::HasSubstr("1 to 16"), testing::HasSubstr("is no key"),
                                   testing::HasSubstr("is no key"), testing::HasSubstr("1 to 16"), "ok"));
  EXPECT_THAT(bytes, testing::ElementsAre(0x5a, 0x5a, 0x5a));
  EXPECT_THAT(refused, testing::HasSubstr("read_memory.size"));
  EXPECT_EQ(status.written_bytes, 40u);
  server_->announce(ClockSet{-3600});
  run();
  EXPECT_THAT(clocks_, testing::ElementsAre(-3600));
}

TEST_F(ControlTest, SmallDevicesAreChangedAndTellOfThemselves) {
  WatchdogAction expiry = WatchdogAction::none;
  std::vector<std::uint64_t> told;
  Client peer(loop_, connect_to(path_),
              Client::Handlers{.hello = {},
                               .state_changed = {},
                               .closed = {},
                               .balloon_changed = [&](const auto& change) { told.push_back(change.bytes); },
                               .watchdog_expired = [&](const auto& expired) { expiry = expired.action; }});
  peer.set_balloon({std::uint64_t{1} << 30}, note());
  peer.set_balloon_statistics_period({0}, note());
  run();
  EXPECT_THAT(answers_, testing::ElementsAre("ok", "ok"));
  EXPECT_THAT(commands_.log, testing::ElementsAre("balloon 1073741824", "balloon-period 0"));
  server_->announce(BalloonChanged{4096});
  run();
  EXPECT_THAT(told, testing::ElementsAre(4096U));
  server_->announce(WatchdogExpired{WatchdogAction::inject_nmi});
  run();
  EXPECT_EQ(expiry, WatchdogAction::inject_nmi);
}

TEST_F(ControlTest, SleepAndFailingMemoryAreToldOf) {
  std::vector<StateChanged> changes;
  std::vector<MemoryFailed> failures;
  Client peer(loop_, connect_to(path_),
              Client::Handlers{.hello = {},
                               .state_changed = [&](const auto& change) { changes.push_back(change); },
                               .closed = {},
                               .memory_failed = [&](const auto& failure) { failures.push_back(failure); }});
  peer.wake(note());
  run();
  EXPECT_THAT(commands_.log, testing::ElementsAre("wake"));
  server_->announce(StateChanged{MachineState::suspended, StateCause::guest_suspend, ""});
  server_->announce(MemoryFailed{MemoryFailureRecipient::guest, MemoryFailureAction::inject, true, false});
  run();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].state, MachineState::suspended);
  EXPECT_EQ(changes[0].cause, StateCause::guest_suspend);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].action, MemoryFailureAction::inject);
  EXPECT_TRUE(failures[0].action_required);
}

TEST_F(ControlTest, DisksAreChangedAndTellOfThemselves) {
  std::vector<DiskFault> faults;
  std::vector<DiskThresholdCrossed> crossings;
  Client peer(loop_, connect_to(path_),
              Client::Handlers{.hello = {},
                               .state_changed = {},
                               .closed = {},
                               .disk_fault = [&](const DiskFault& fault) { faults.push_back(fault); },
                               .disk_threshold = [&](const auto& crossed) { crossings.push_back(crossed); }});
  peer.resize_disk({"virtio-disk0", 1 << 20}, note());
  SetDiskLimits limits{.id = "virtio-disk0", .limits = {}};
  limits.limits.read_bytes = {.rate = 100, .burst = 200, .burst_seconds = 3};
  peer.set_disk_limits(limits, note());
  limits.limits.read_bytes.burst = 50;
  peer.set_disk_limits(limits, note());
  peer.set_disk_threshold({"virtio-disk0", 4096}, note());
  std::uint64_t size = 0;
  peer.disk_sizes([&](auto sizes) { size = sizes.value().disks.at(0).bytes; });
  run();
  EXPECT_THAT(answers_, testing::ElementsAre("ok", "ok", testing::HasSubstr("limits.read_bytes"), "ok"));
  EXPECT_THAT(commands_.log, testing::ElementsAre("resize virtio-disk0 1048576", "limits virtio-disk0 100",
                                                  "threshold virtio-disk0 4096"));
  EXPECT_EQ(size, 4096U);
  server_->announce(DiskFault{"virtio-disk0", true, ENOSPC, DiskFaultAction::stop});
  server_->announce(DiskThresholdCrossed{"virtio-disk0", 4096, 512});
  run();
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].error, ENOSPC);
  EXPECT_EQ(faults[0].action, DiskFaultAction::stop);
  ASSERT_EQ(crossings.size(), 1u);
  EXPECT_EQ(crossings[0].excess, 512u);
}

TEST_F(ControlTest, VcpusComeAndGo) {
  std::vector<std::string> told;
  Client::Handlers handlers;
  handlers.vcpu_unplugged = [&](const VcpuNumber& n) { told.push_back("gone " + std::to_string(n.vcpu)); };
  handlers.vcpu_kept = [&](const VcpuNumber& n) { told.push_back("kept " + std::to_string(n.vcpu)); };
  Client peer(loop_, connect_to(path_), std::move(handlers));
  peer.plug_vcpus({{2, 254}}, note());
  peer.unplug_vcpus({{3}}, note());
  for (const VcpuNumbers& refused :
       {VcpuNumbers{}, VcpuNumbers{{0}}, VcpuNumbers{{255}}, VcpuNumbers{{1, 1}}})
    peer.plug_vcpus(refused, note());
  run();
  using testing::HasSubstr;
  EXPECT_THAT(answers_, testing::ElementsAre("ok", "ok", HasSubstr("vcpus: empty"), HasSubstr("vcpus: 0"),
                                             HasSubstr("vcpus: 255"), HasSubstr("vcpus: 1 ")));
  EXPECT_THAT(commands_.log, testing::ElementsAre("plug vCPUs 2", "unplug vCPU 3"));
  server_->announce_unplugged(VcpuNumber{3});
  server_->announce_kept(VcpuNumber{2});
  run();
  EXPECT_THAT(told, testing::ElementsAre("gone 3", "kept 2"));
}

TEST_F(ControlTest, MemoryComesAndGoes) {
  std::vector<std::string> told;
  Client::Handlers handlers;
  handlers.memory_resized = [&](const MemoryResized& r) {
    told.push_back(r.id + " " + std::to_string(r.bytes));
  };
  handlers.device_kept = [&](const DeviceName& device) { told.push_back("kept " + device.id); };
  Client peer(loop_, connect_to(path_), std::move(handlers));
  peer.request_memory({"virtiomem0", 4096}, note());
  peer.request_memory({"virtiomem0", 4097}, note());
  PlugDimm plug{{.id = "dimm0", .slot = 1, .address = 0, .node = 0, .memory = {.bytes = 4096}}};
  peer.plug_dimm(plug, note());
  plug.dimm.memory.huge_page_bytes = 4096;
  peer.plug_dimm(plug, note());
  plug.dimm.memory = {.bytes = 0};
  peer.plug_dimm(plug, note());
  peer.unplug_dimm({"dimm0"}, note());
  run();
  using testing::HasSubstr;
  EXPECT_THAT(answers_, testing::ElementsAre("ok", HasSubstr("bytes"), "ok", HasSubstr("huge_page_bytes"),
                                             HasSubstr("dimm.memory.bytes"), "ok"));
  EXPECT_THAT(commands_.log, testing::ElementsAre("request virtiomem0 4096", "plug dimm0", "unplug dimm0"));
  server_->announce(MemoryResized{"virtiomem0", 8192});
  server_->announce_kept(DeviceName{"dimm0"});
  run();
  EXPECT_THAT(told, testing::ElementsAre("virtiomem0 8192", "kept dimm0"));
}

TEST_F(ControlTest, DevicesComeAndGo) {
  std::string gone, lost;
  Client peer(loop_, connect_to(path_),
              Client::Handlers{.hello = {},
                               .state_changed = {},
                               .closed = {},
                               .device_unplugged = [&](const DeviceName& device) { gone = device.id; },
                               .interface_lost = [&](const DeviceName& device) { lost = device.id; }});
  DiskSpecification disk;
  disk.id = "virtio-disk1";
  disk.address = {3, 0, 0};
  disk.descriptor = "disk0";
  peer.plug_device({.disks = {disk}, .interfaces = {}, .rngs = {}}, note());
  peer.add_descriptors({"disk0"}, descriptors(1), note());
  peer.plug_device({.disks = {disk}, .interfaces = {}, .rngs = {}}, note());
  // What came with it was used up.
  peer.plug_device({.disks = {disk}, .interfaces = {}, .rngs = {}}, note());
  disk.address = {0, 3, 0};
  peer.plug_device({.disks = {disk}, .interfaces = {}, .rngs = {}}, note());
  peer.plug_device({}, note());
  peer.unplug_device({"virtio-disk1"}, note());
  peer.plug_port(
      {"virtio-serial0",
       {.id = "channel1", .number = 3, .name = "org.example", .is_console = false, .character = {}}},
      note());
  peer.plug_port({"virtio-serial0",
                  {.id = "", .number = 3, .name = "org.example", .is_console = false, .character = {}}},
                 note());
  peer.unplug_port({"channel1"}, note());
  peer.set_link({"net0", false}, note());
  peer.reconnect_interface({"net0", "net0.stream"}, FileDescriptor(::dup(0)), note());
  run();
  using testing::HasSubstr;
  EXPECT_THAT(answers_,
              testing::ElementsAre(HasSubstr("not delivered"), "ok", "ok", HasSubstr("not delivered"),
                                   HasSubstr("disks[0].address"), HasSubstr("exactly one"), "ok", "ok",
                                   HasSubstr("port.id"), "ok", "ok", "ok"));
  EXPECT_THAT(commands_.log,
              testing::ElementsAre("plug 1 with 1", "unplug virtio-disk1",
                                   "plug port channel1 into virtio-serial0 with 0", "unplug port channel1",
                                   "link net0 down", "reconnect net0 with 1"));
  server_->announce_unplugged({"virtio-disk1"});
  server_->announce_lost({"net0"});
  run();
  EXPECT_EQ(gone, "virtio-disk1");
  EXPECT_EQ(lost, "net0");
}

TEST_F(ControlTest, ManyDescriptorsTravelInSeveralMessages) {
  auto machine = example_specification();
  machine.disks.clear();
  machine.interfaces.clear();
  for (int i = 0; i < 7; ++i) {
    InterfaceSpecification interface;
    interface.id = "net" + std::to_string(i);
    interface.address = {0, static_cast<std::uint8_t>(16 + i), 0};
    interface.mac = "52:54:00:12:34:56";
    for (int q = 0; q < 64; ++q) interface.descriptors.push_back(interface.id + "-" + std::to_string(q));
    machine.interfaces.push_back(interface);
  }
  const auto names = descriptor_names(machine);
  auto peer = client();
  peer->add_descriptors(names, descriptors(names.size()), note());
  peer->configure(machine, note());
  run();
  EXPECT_THAT(answers_, testing::ElementsAre("ok", "ok"));
  EXPECT_EQ(commands_.descriptors_got.size(), names.size());
}

TEST_F(ControlTest, RefusalsCarryTheirReason) {
  auto peer = client();
  auto machine = example_specification();
  peer->configure(machine, note());
  const auto names = descriptor_names(machine);
  peer->add_descriptors(names, descriptors(names.size()), note());
  commands_.refuse_configure = true;
  peer->configure(machine, note());
  machine.memory_bytes = 1;
  peer->configure(machine, note());
  run();
  ASSERT_EQ(answers_.size(), 4u);
  EXPECT_THAT(answers_[0], testing::HasSubstr("'kernel', which was not delivered"));
  EXPECT_THAT(answers_[2], testing::HasSubstr("memory slot 0"));
  EXPECT_THAT(answers_[3], testing::HasSubstr("memory_bytes"));
}

TEST_F(ControlTest, EveryConnectionHearsOfAChange) {
  auto one = client();
  auto two = client();
  run();
  server_->announce({MachineState::crashed, StateCause::crash, "triple fault"});
  run();
  ASSERT_EQ(changes_.size(), 2u);
  EXPECT_EQ(changes_[1].detail, "triple fault");
}

TEST_F(ControlTest, InspectStatusAndCounters) {
  auto peer = client();
  std::string tree;
  FileDescriptor page;
  peer->inspect([&](auto answer) { tree = *answer; });
  peer->counters([&](auto answer) { page = std::move(*answer); });
  peer->power_button(note());
  run();
  EXPECT_EQ(tree, R"({"serial0":{"ier":5}})");
  EXPECT_TRUE(page.valid());
  EXPECT_THAT(commands_.log, testing::ElementsAre("power_button"));
}

TEST_F(ControlTest, T15AWorkerThatHangsRunsIntoTheDeadline) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
  FileDescriptor silent(pair[1]);
  Client peer(loop_, FileDescriptor(pair[0]), {});
  peer.set_deadline(milliseconds(10));
  peer.pause(note());
  run();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_THAT(answers_[0], testing::HasSubstr("did not answer 'pause'"));
}

TEST_F(ControlTest, T15AWorkerThatDiesFailsWhatWasAsked) {
  auto peer = client();
  run();
  peer->pause(note());
  server_.reset();
  run();
  EXPECT_THAT(closed_, testing::ElementsAre(testing::StartsWith("closed")));
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_NE(answers_[0], "ok");
  peer->resume(note());
  run();
  EXPECT_EQ(answers_.size(), 2u);
}

TEST_F(ControlTest, T15GarbageFromAWorkerEndsTheConnection) {
  for (const std::string garbage :
       {"nonsense\n", "{\"return\":{}}\n", "{\"event\":\"hello\",\"data\":{\"state\":7}}\n",
        "{\"id\":1,\"descriptors\":9}\n", "[]\n"}) {
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    FileDescriptor worker(pair[1]);
    closed_.clear();
    Client peer(loop_, FileDescriptor(pair[0]),
                {nullptr, nullptr, nullptr, [this](auto& r) { closed_.push_back(r); }});
    ASSERT_EQ(::write(worker.get(), garbage.data(), garbage.size()), static_cast<ssize_t>(garbage.size()));
    run();
    EXPECT_EQ(closed_.size(), 1u) << garbage;
  }
}

TEST_F(ControlTest, T16GarbageFromAPeerIsDroppedAndTheOthersGoOn) {
  auto good = client();
  FileDescriptor bad = connect_to(path_);
  const std::string garbage = "{\"execute\":7}\n[1]\n";
  ASSERT_EQ(::write(bad.get(), garbage.data(), garbage.size()), static_cast<ssize_t>(garbage.size()));
  run();
  good->pause(note());
  run();
  EXPECT_THAT(answers_, testing::ElementsAre("ok"));
}

TEST_F(ControlTest, T20TheSocketIsItsOwnersAlone) {
  struct stat status{};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(ControlTest, AClientMayGoInTheMiddleOfItsOwnReply) {
  auto peer = client();
  peer->pause([&](auto) { peer.reset(); });
  peer->resume(note());
  run();
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_THAT(answers_[0], testing::HasSubstr("dropped"));
}

}  // namespace
}  // namespace warren::vmm::control
