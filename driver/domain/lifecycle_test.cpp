// What becomes of running domains.
#include <csignal>

#include "driver/domain/character_file.h"
#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

using LifecycleTest = DriverFixture;

TEST_F(LifecycleTest, StartAndDestroy) {
  ASSERT_EQ(define(xml()), "");
  events_.clear();
  ASSERT_EQ(start(), "");
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  EXPECT_EQ(state().reason, VIR_DOMAIN_RUNNING_BOOTED);
  DomainHandle handle = driver_->lookup_by_uuid(caller_, test_uuid());
  EXPECT_GT(handle.id, 0);
  EXPECT_EQ(driver_->lookup_by_id(caller_, handle.id), handle);
  EXPECT_EQ(start(), "Requested operation is not valid: domain is already running");
  std::string text = driver_->xml(caller_, test_uuid(), 0);
  EXPECT_NE(text.find(fmt::format("id='{}'", handle.id)), std::string::npos) << text;
  EXPECT_NE(text.find("/dev/pts/"), std::string::npos) << text;
  EXPECT_NE(text.find("virtio-disk0"), std::string::npos) << text;
  EXPECT_EQ(driver_->xml(caller_, test_uuid(), VIR_DOMAIN_XML_INACTIVE).find("/dev/pts/"), std::string::npos);
  EXPECT_TRUE(driver_->is_busy());
  pid_t pid = worker_pid();
  ASSERT_EQ(destroy(), "");
  EXPECT_TRUE(is_gone(pid));
  EXPECT_EQ(state().state, VIR_DOMAIN_SHUTOFF);
  EXPECT_EQ(state().reason, VIR_DOMAIN_SHUTOFF_DESTROYED);
  EXPECT_THROW(driver_->lookup_by_id(caller_, handle.id), Error);
  EXPECT_FALSE(std::filesystem::exists(root_ / "run/domain" / kTestUuid));
  EXPECT_EQ(events_, (std::vector<std::string>{
                         lifecycle(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_BOOTED),
                         lifecycle(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED)}));
  EXPECT_FALSE(driver_->is_busy());
  ASSERT_EQ(start(), "");
  EXPECT_GT(driver_->lookup_by_uuid(caller_, test_uuid()).id, handle.id);
}

TEST_F(LifecycleTest, SuspendAndResume) {
  ASSERT_EQ(create(xml(), VIR_DOMAIN_START_PAUSED), "");
  EXPECT_EQ(state().state, VIR_DOMAIN_PAUSED);
  ASSERT_EQ(resume(), "");
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  EXPECT_NE(resume(), "");
  ASSERT_EQ(suspend(), "");
  ASSERT_EQ(suspend(), "");
  EXPECT_EQ(state().reason, VIR_DOMAIN_PAUSED_USER);
  EXPECT_EQ(events_, (std::vector<std::string>{
                         lifecycle(VIR_DOMAIN_EVENT_STARTED, VIR_DOMAIN_EVENT_STARTED_BOOTED),
                         lifecycle(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED),
                         lifecycle(VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_UNPAUSED),
                         lifecycle(VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED)}));
}

TEST_F(LifecycleTest, ShutdownByAcpi) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  events_.clear();
  auto shutdown = [&](unsigned int flags) {
    return wait<void>([&](auto done) { driver_->shutdown(caller_, test_uuid(), flags, std::move(done)); });
  };
  EXPECT_NE(shutdown(VIR_DOMAIN_SHUTDOWN_GUEST_AGENT), "");
  EXPECT_EQ(last_code_, VIR_ERR_ARGUMENT_UNSUPPORTED);
  ASSERT_EQ(shutdown(0), "");
  ASSERT_TRUE(wait_for_state(VIR_DOMAIN_SHUTOFF));
  EXPECT_EQ(state().reason, VIR_DOMAIN_SHUTOFF_SHUTDOWN);
  EXPECT_EQ(events_, (std::vector<std::string>{
                         lifecycle(VIR_DOMAIN_EVENT_SHUTDOWN, VIR_DOMAIN_EVENT_SHUTDOWN_GUEST),
                         lifecycle(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN)}));
}

TEST_F(LifecycleTest, RebootRestartsUnderTheSameId) {
  for (const char* words : {"quiet", "resettable"}) {
    ASSERT_EQ(create(xml("test", kTestUuid, "", words)), "");
    int id = driver_->lookup_by_uuid(caller_, test_uuid()).id;
    pid_t pid = worker_pid();
    events_.clear();
    ASSERT_EQ(wait<void>([&](auto done) { driver_->reboot(caller_, test_uuid(), 0, std::move(done)); }), "");
    ASSERT_TRUE(wait_for_event("test:id1")) << words;
    EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
    EXPECT_EQ(driver_->lookup_by_uuid(caller_, test_uuid()).id, id);
    EXPECT_EQ(worker_pid() == pid, std::string(words) == "resettable");
    EXPECT_EQ(events_.size(), 1u);
    // A shutdown after it is one again.
    ASSERT_EQ(wait<void>([&](auto done) { driver_->shutdown(caller_, test_uuid(), 0, std::move(done)); }),
              "");
    ASSERT_TRUE(run_until([&] { return driver_->list(caller_, 0).empty(); }));
  }
}

TEST_F(LifecycleTest, OnPoweroffPolicies) {
  ASSERT_EQ(create(xml("test", kTestUuid, "<on_poweroff>restart</on_poweroff>")), "");
  tell_guest("poweroff");
  ASSERT_TRUE(wait_for_event("test:id1"));
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  ASSERT_EQ(destroy(), "");
}

TEST_F(LifecycleTest, GuestResetIsToldAsReboot) {
  ASSERT_EQ(create(xml()), "");
  tell_guest("reset");
  ASSERT_TRUE(wait_for_event("test:id1"));
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  ASSERT_EQ(wait<void>([&](auto done) { driver_->reset(caller_, test_uuid(), 0, std::move(done)); }), "");
}

TEST_F(LifecycleTest, CrashPolicies) {
  for (const char* policy : {"destroy", "restart", "preserve"}) {
    ASSERT_EQ(define(xml("test", kTestUuid, fmt::format("<on_crash>{}</on_crash>", policy))), "");
    ASSERT_EQ(start(), "");
    events_.clear();
    tell_guest("crash triple fault");
    ASSERT_TRUE(wait_for_event(lifecycle(VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_PANICKED)));
    EXPECT_NE(log_.find("triple fault"), std::string::npos);
    if (std::string(policy) == "destroy") {
      ASSERT_TRUE(wait_for_event(lifecycle(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_CRASHED)));
      EXPECT_EQ(state().reason, VIR_DOMAIN_SHUTOFF_CRASHED);
      continue;
    }
    if (std::string(policy) == "restart") {
      ASSERT_TRUE(wait_for_event("test:id1"));
      EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
    } else {
      EXPECT_EQ(state().state, VIR_DOMAIN_CRASHED);
      EXPECT_EQ(driver_->list(caller_, VIR_CONNECT_LIST_DOMAINS_OTHER).size(), 1u);
    }
    ASSERT_EQ(destroy(), "") << policy;
  }
}

// T15: the worker is killed.
TEST_F(LifecycleTest, UnexpectedEndOfTheWorker) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  ::kill(worker_pid(), SIGKILL);
  ASSERT_TRUE(wait_for_event(lifecycle(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED)));
  EXPECT_EQ(state().reason, VIR_DOMAIN_SHUTOFF_CRASHED);
  EXPECT_NE(log_.find("was killed by signal 9;"), std::string::npos) << log_;
  ASSERT_EQ(start(), "");
}

// T15: the worker hangs. Reads go on, a change ends by its deadline, others are refused at once, destroy
// works.
TEST_F(LifecycleTest, HungWorker) {
  ASSERT_EQ(create(xml()), "");
  pid_t pid = worker_pid();
  ::kill(pid, SIGSTOP);
  std::string slow;
  bool answered = false;
  driver_->suspend(caller_, test_uuid(), [&](std::expected<void, Error> result) {
    answered = true;
    slow = result ? "" : result.error().message();
  });
  loop_->restart();
  loop_->run_for(std::chrono::milliseconds(50));
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  EXPECT_EQ(driver_->control_info(caller_, test_uuid(), 0).state, unsigned{VIR_DOMAIN_CONTROL_JOB});
  EXPECT_FALSE(driver_->xml(caller_, test_uuid(), 0).empty());
  EXPECT_TRUE(run_until([&] { return answered; }));
  EXPECT_NE(slow.find("does not answer"), std::string::npos) << slow;
  auto before = std::chrono::steady_clock::now();
  ASSERT_EQ(destroy(), "");
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
  EXPECT_TRUE(is_gone(pid));
}

// T15: a pause that is answered late has happened all the same.
TEST_F(LifecycleTest, T15APauseThatIsAnsweredLateIsTold) {
  ASSERT_EQ(define(xml("test", kTestUuid, "", "late-pause")), "");
  ASSERT_EQ(start(), "");
  const auto suspend = [&] {
    return wait<void>([&](auto done) { driver_->suspend(caller_, test_uuid(), std::move(done)); });
  };
  EXPECT_NE(suspend().find("does not answer"), std::string::npos);
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  EXPECT_TRUE(wait_for_state(VIR_DOMAIN_PAUSED));
  EXPECT_TRUE(run_until([&] {
    return std::ranges::find(events_, lifecycle(VIR_DOMAIN_EVENT_SUSPENDED,
                                                VIR_DOMAIN_EVENT_SUSPENDED_PAUSED)) != events_.end();
  }));
}

// T15: destroy over a job that hangs does not wait for it.
TEST_F(LifecycleTest, DestroyOverAHangingJob) {
  ASSERT_EQ(create(xml()), "");
  ::kill(worker_pid(), SIGSTOP);
  bool answered = false;
  driver_->suspend(caller_, test_uuid(), [&](std::expected<void, Error>) { answered = true; });
  loop_->restart();
  loop_->run_for(std::chrono::milliseconds(20));
  auto before = std::chrono::steady_clock::now();
  ASSERT_EQ(destroy(), "");
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::milliseconds(500));
  EXPECT_TRUE(answered);
}

// T15: the control connection goes, the process stays.
TEST_F(LifecycleTest, LostConnection) {
  ASSERT_EQ(create(xml()), "");
  pid_t pid = worker_pid();
  tell_guest("disconnect");
  ASSERT_TRUE(wait_for_event("test:id7"));
  EXPECT_EQ(driver_->control_info(caller_, test_uuid(), 0).state, unsigned{VIR_DOMAIN_CONTROL_ERROR});
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  EXPECT_NE(suspend(), "");
  ASSERT_EQ(destroy(), "");
  EXPECT_TRUE(is_gone(pid));
}

TEST_F(LifecycleTest, DestroyDuringAStart) {
  ASSERT_EQ(define(xml("test", kTestUuid, "", "slow-start")), "");
  std::optional<std::expected<DomainHandle, Error>> started;
  driver_->create(caller_, test_uuid(), 0, [&](auto result) { started.emplace(std::move(result)); });
  loop_->restart();
  loop_->run_for(std::chrono::milliseconds(100));
  EXPECT_TRUE(is_shut_off());
  ASSERT_EQ(destroy(), "");
  ASSERT_TRUE(started);
  EXPECT_FALSE(*started);
  EXPECT_TRUE(is_shut_off());
  EXPECT_FALSE(std::filesystem::exists(root_ / "run/domain" / kTestUuid));
  EXPECT_TRUE(std::filesystem::is_empty(root_ / "run/status") ||
              !std::filesystem::exists(root_ / "run/status" / (std::string(kTestUuid) + ".xml")));
}

// T14: a pool thread that comes back after its start was given up and cleaned away.
TEST_F(LifecycleTest, AStartThatWasGivenUpWritesNoStatusLater) {
  ASSERT_EQ(define(xml()), "");
  Environment& environment = driver_->environment();
  std::unique_lock hanging(environment.statuses_mutex);
  std::optional<std::expected<DomainHandle, Error>> started;
  driver_->create(caller_, test_uuid(), 0, [&](auto result) { started.emplace(std::move(result)); });
  std::optional<std::expected<void, Error>> destroyed;
  loop_->restart();
  loop_->run_for(std::chrono::milliseconds(50));
  driver_->destroy(caller_, test_uuid(), 0, [&](auto result) { destroyed.emplace(std::move(result)); });
  loop_->restart();
  loop_->run_for(std::chrono::milliseconds(50));
  hanging.unlock();
  ASSERT_TRUE(run_until([&] { return started && destroyed; }));
  EXPECT_FALSE(*started);
  // However long the thread takes.
  environment.io_threads.join();
  EXPECT_FALSE(std::filesystem::exists(root_ / "run/status" / (std::string(kTestUuid) + ".xml")));
}

TEST_F(LifecycleTest, FailedStartLeavesNothing) {
  ASSERT_EQ(define(xml("test", kTestUuid, "", "refuse-configure")), "");
  std::string refused = start();
  EXPECT_TRUE(
      refused.starts_with("operation failed: cannot start the machine: fake worker was told to refuse"))
      << refused;
  EXPECT_TRUE(is_shut_off());
  EXPECT_FALSE(std::filesystem::exists(root_ / "run/domain" / kTestUuid));
  std::filesystem::remove(root_ / "disk.img");
  std::string refusal = start();
  EXPECT_NE(refusal.find("disk vda"), std::string::npos) << refusal;
  EXPECT_NE(refusal.find("disk.img': No such file or directory"), std::string::npos) << refusal;
  EXPECT_NE(create(xml("other", "11111111-2222-4333-8444-555555555555")), "");
  EXPECT_EQ(driver_->list(caller_, 0).size(), 1u);
}

TEST_F(LifecycleTest, AnImageIsWrittenByOneDomainOnly) {
  ASSERT_EQ(create(xml()), "");
  std::string refusal = create(xml("other", "11111111-2222-4333-8444-555555555555"));
  EXPECT_NE(refusal.find("/disk.img' is in use by process "), std::string::npos) << refusal;
  EXPECT_EQ(last_code_, VIR_ERR_RESOURCE_BUSY);
  ASSERT_EQ(destroy(), "");
  ASSERT_EQ(create(xml("other", "11111111-2222-4333-8444-555555555555")), "");
}

TEST_F(LifecycleTest, AutodestroyFollowsTheConnection) {
  ASSERT_EQ(create(xml(), VIR_DOMAIN_START_AUTODESTROY), "");
  driver_->connection_closed(caller_.connection_id + 1);
  loop_->restart();
  loop_->run_for(std::chrono::milliseconds(20));
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  driver_->connection_closed(caller_.connection_id);
  EXPECT_TRUE(run_until([&] { return driver_->list(caller_, 0).empty(); }));
}

TEST_F(LifecycleTest, ChangesBehindALongJobAreRefusedWithItsName) {
  driver_->environment().command_deadline = std::chrono::seconds(30);
  ASSERT_EQ(create(xml()), "");
  pid_t pid = worker_pid();
  ::kill(pid, SIGSTOP);
  driver_->suspend(caller_, test_uuid(), [](std::expected<void, Error>) {});
  std::string refusal = resume();
  EXPECT_NE(refusal.find("job 'suspend' of connection 7 (uid 0, pid 42) is at work since "),
            std::string::npos)
      << refusal;
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_TIMEOUT);
  ::kill(pid, SIGCONT);
}

TEST_F(LifecycleTest, ConsoleIsExclusive) {
  ASSERT_EQ(create(xml()), "");
  auto first = driver_->open_console(caller_, test_uuid(), std::nullopt, 0);
  EXPECT_THROW(driver_->open_console(caller_, test_uuid(), std::nullopt, VIR_DOMAIN_CONSOLE_SAFE), Error);
  EXPECT_THROW(driver_->open_console(caller_, test_uuid(), "nonsense", 0), Error);
  std::string text = "hello\n";
  ASSERT_EQ(first->write_some(std::as_bytes(std::span(text))), text.size());
  bool ready = false;
  std::string got;
  first->wait_readable([&] { ready = true; });
  ASSERT_TRUE(run_until([&] { return ready; }));
  std::byte buffer[64];
  auto result = first->read_some(buffer);
  got.assign(reinterpret_cast<const char*>(buffer), result.bytes);  // bytes as text
  EXPECT_EQ(got, "echo hello\n");
  bool woken = false;
  first->wait_readable([&] { woken = true; });
  auto second = driver_->open_console(caller_, test_uuid(), "serial0", VIR_DOMAIN_CONSOLE_FORCE);
  ASSERT_TRUE(run_until([&] { return woken; }));
  EXPECT_THROW(first->read_some(buffer), Error);
  second->finish();
  auto third = driver_->open_console(caller_, test_uuid(), std::nullopt, 0);
  ASSERT_EQ(destroy(), "");
  ready = false;
  third->wait_readable([&] { ready = true; });
  ASSERT_TRUE(run_until([&] { return ready; }));
  EXPECT_TRUE(third->read_some(buffer).end);
}

TEST_F(LifecycleTest, ChannelsHaveSocketsAndStates) {
  std::string text = xml();
  text.insert(text.find("<serial"),
              "<channel type='unix'><target type='virtio' name='org.example.0'/></channel>");
  ASSERT_EQ(define(text), "");
  ASSERT_EQ(start(), "");
  const auto channel = [this] {
    return driver_->environment().table.by_uuid(test_uuid())->snapshot()->live->devices.channels.at(0);
  };
  const std::string path = channel().backend.path;
  EXPECT_TRUE(path.ends_with("/channel/org.example.0")) << path;
  EXPECT_NO_THROW(connect_character_socket(path)) << "the worker has it";
  EXPECT_NE(driver_->xml(caller_, test_uuid(), 0).find("name='org.example.0' state='disconnected'"),
            std::string::npos);
  tell_guest("open channel0");
  EXPECT_TRUE(run_until([&] { return channel().connected == true; }));
  start_daemon();
  EXPECT_EQ(channel().connected, true);
  EXPECT_NE(driver_->xml(caller_, test_uuid(), 0).find("state='connected'"), std::string::npos);
  tell_guest("close channel0");
  EXPECT_TRUE(run_until([&] { return channel().connected == false; }));
  // In a definition the path that this start chose says nothing.
  const std::string live = driver_->xml(caller_, test_uuid(), 0);
  EXPECT_EQ(define(live), "");
  EXPECT_EQ(driver_->xml(caller_, test_uuid(), VIR_DOMAIN_XML_INACTIVE).find("/channel/"), std::string::npos);
  ASSERT_EQ(destroy(), "");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(LifecycleTest, ChannelsAreStreams) {
  std::string text = xml();
  text.insert(text.find("<serial"),
              "<channel type='pty'><target type='virtio' name='a'/></channel>"
              "<channel type='unix'><target type='virtio' name='b'/></channel>"
              "<channel type='null'><target type='virtio' name='c'/></channel>");
  ASSERT_EQ(create(text), "");
  const auto open = [this](const std::optional<std::string>& name, unsigned int flags = 0) {
    return driver_->open_channel(caller_, test_uuid(), name, flags);
  };
  EXPECT_THROW(open("none"), Error);
  EXPECT_THROW(open("c"), Error) << "neither a terminal nor a socket";
  EXPECT_THROW(open("b", 2), Error) << "no such flag";
  auto terminal = open(std::nullopt);
  EXPECT_THROW(open("channel0"), Error) << "the same one";
  auto first = open("b");
  EXPECT_THROW(open("channel1"), Error);
  auto second = open("channel1", VIR_DOMAIN_CHANNEL_FORCE);
  std::byte buffer[16];
  EXPECT_THROW(first->read_some(buffer), Error) << "taken over";
  EXPECT_EQ(second->read_some(buffer).bytes, 0u);
  EXPECT_EQ(second->write_some(std::as_bytes(std::span("ping", 4))), 4u);
  ASSERT_EQ(destroy(), "");
  // The worker is gone: no signal, an end.
  EXPECT_TRUE(second->read_some(buffer).end);
}

// A socket takes the place of a socket, never of a file (T19).
TEST_F(LifecycleTest, T19AChannelReplacesNoFile) {
  const auto file = root_ / "precious";
  std::ofstream(file) << "text";
  std::string text = xml();
  text.insert(text.find("<serial"), fmt::format("<channel type='unix'><source mode='bind' path='{}'/>"
                                                "<target type='virtio' name='a'/></channel>",
                                                file.string()));
  EXPECT_NE(create(text).find("something else is there"), std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(file), 4U);
}

TEST_F(LifecycleTest, Statistics) {
  ASSERT_EQ(create(xml()), "");
  EXPECT_EQ(driver_->block_statistics(caller_, test_uuid(), "vda").read_requests, 7);
  EXPECT_EQ(driver_->block_statistics(caller_, test_uuid(), "").write_bytes, 4096);
  EXPECT_THROW(driver_->block_statistics(caller_, test_uuid(), "vdb"), Error);
  EXPECT_THROW(driver_->interface_statistics(caller_, test_uuid(), "vnet9"), Error);
  auto vcpus = driver_->vcpu_info(caller_, test_uuid());
  ASSERT_EQ(vcpus.size(), 2u);
  EXPECT_GT(vcpus[0].cpu_time_ns, 0u);
  EXPECT_GE(vcpus[0].cpu, 0);
  EXPECT_GT(driver_->info(caller_, test_uuid()).cpu_time_ns, 0u);
  BlockInfo info;
  ASSERT_EQ(
      wait<BlockInfo>(
          [&](auto done) { driver_->block_info(caller_, test_uuid(), "vda", 0, std::move(done)); }, &info),
      "");
  EXPECT_EQ(info.capacity, 65536u);
  std::vector<DomainStatistics> all;
  ASSERT_EQ(wait<std::vector<DomainStatistics>>(
                [&](auto done) { driver_->domain_statistics(caller_, {}, 0, 0, std::move(done)); }, &all),
            "");
  ASSERT_EQ(all.size(), 1u);
  auto value = [&](const std::string& field) -> std::optional<TypedParameter::Value> {
    for (const auto& parameter : all[0].parameters) {
      if (parameter.field == field) return parameter.value;
    }
    return {};
  };
  EXPECT_EQ(value("state.state"), TypedParameter::Value(std::int32_t{VIR_DOMAIN_RUNNING}));
  EXPECT_EQ(value("block.0.capacity"), TypedParameter::Value(std::uint64_t{65536}));
  EXPECT_EQ(value("block.0.rd.reqs"), TypedParameter::Value(std::uint64_t{7}));
  EXPECT_EQ(value("vcpu.current"), TypedParameter::Value(std::uint32_t{2}));
  EXPECT_TRUE(value("cpu.time"));
  EXPECT_TRUE(value("balloon.maximum"));
  EXPECT_TRUE(value("net.count"));
}

}  // namespace
}  // namespace warren::driver::domain
