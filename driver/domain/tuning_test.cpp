// Pins, IOThreads, typed parameters, jobs and probes of running and stored domains.
#include <fstream>
#include <set>

#include <gtest/gtest.h>

#include "driver/config/domain_xml.h"
#include "driver/domain/cgroup.h"
#include "driver/domain/driver_fixture.h"
#include "driver/domain/key_codes.h"
#include "driver/domain/tuning_parameters.h"
#include "driver/domain/worker_threads.h"

namespace warren::driver::domain {
namespace {

class TuningTest : public DriverFixture {
 protected:
  std::string pin(PinnedThreads threads, std::uint32_t number, std::vector<std::uint8_t> map,
                  unsigned int flags) {
    return wait<void>([&](auto done) {
      driver_->pin(caller_, test_uuid(), {threads, number, std::move(map)}, flags, std::move(done));
    });
  }
  std::string set(TuningGroup group, TypedParameters parameters, unsigned int flags) {
    return wait<void>([&](auto done) {
      driver_->set_tuning(caller_, test_uuid(), group, std::move(parameters), flags, std::move(done));
    });
  }
  std::string stored_xml() { return driver_->xml(caller_, test_uuid(), VIR_DOMAIN_XML_INACTIVE); }
  std::string live_xml() { return driver_->xml(caller_, test_uuid(), 0); }
  // What the fake worker was last asked, which its memory holds.
  std::string last_probe() {
    std::vector<std::uint8_t> bytes;
    EXPECT_EQ(wait<std::vector<std::uint8_t>>(
                  [&](auto done) {
                    driver_->memory_peek(caller_, test_uuid(), 0, 32, VIR_MEMORY_PHYSICAL, std::move(done));
                  },
                  &bytes),
              "");
    return std::string(bytes.begin(), std::find(bytes.begin(), bytes.end(), 0));
  }
};

TEST_F(TuningTest, PinsAreStoredAndShown) {
  ASSERT_EQ(define(xml()), "");
  EXPECT_EQ(pin(PinnedThreads::vcpu, 1, {1}, VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_EQ(pin(PinnedThreads::emulator, 0, {3}, 0), "");
  EXPECT_NE(stored_xml().find("<vcpupin vcpu='1' cpuset='0'/>"), std::string::npos) << stored_xml();
  EXPECT_NE(stored_xml().find("<emulatorpin cpuset='0-1'/>"), std::string::npos);
  EXPECT_EQ(driver_->vcpu_pins(caller_, test_uuid(), 0).at(1).at(0), 1);
  EXPECT_EQ(driver_->emulator_pin(caller_, test_uuid(), 0).at(0), 3);
  EXPECT_NE(pin(PinnedThreads::vcpu, 2, {1}, 0).find("out of range"), std::string::npos);
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
  EXPECT_NE(pin(PinnedThreads::vcpu, 0, {0}, 0).find("Empty cpu list"), std::string::npos);
  EXPECT_NE(pin(PinnedThreads::vcpu, 0, {1}, VIR_DOMAIN_AFFECT_LIVE).find("not running"), std::string::npos);
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_NE(pin(PinnedThreads::iothread, 1, {1}, 0).find("iothread 1 not found"), std::string::npos);
}

TEST_F(TuningTest, APinOfARunningDomainIsAppliedAndToldOf) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  std::vector<DomainEvent> told;
  driver_->subscribe(VIR_DOMAIN_EVENT_ID_TUNABLE, std::nullopt,
                     [&](const DomainEvent& event) { told.push_back(event); });
  EXPECT_EQ(pin(PinnedThreads::emulator, 0, {1}, VIR_DOMAIN_AFFECT_LIVE), "");
  cpu_set_t mask;
  ASSERT_EQ(::sched_getaffinity(worker_pid(), sizeof(mask), &mask), 0);
  EXPECT_EQ(CPU_COUNT(&mask), 1);
  EXPECT_TRUE(CPU_ISSET(0, &mask));
  ASSERT_TRUE(run_until([&] { return !told.empty(); }));
  const auto& parameters = std::get<TunableEvent>(told.front().body).parameters;
  EXPECT_EQ(parameters, (TypedParameters{{"cputune.emulatorpin", std::string("0")}}));
  EXPECT_EQ(stored_xml().find("emulatorpin"), std::string::npos) << "only the running one";
  // A CPU that is not there: nothing changes.
  std::vector<std::uint8_t> none(100);
  none[99] = 0x80;
  EXPECT_NE(pin(PinnedThreads::emulator, 0, none, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG), "");
  EXPECT_NE(live_xml().find("<emulatorpin cpuset='0'/>"), std::string::npos);
  EXPECT_EQ(stored_xml().find("emulatorpin"), std::string::npos);
}

TEST_F(TuningTest, PinsOfTheDefinitionAreAppliedAtStart) {
  ASSERT_EQ(define(xml("test", kTestUuid, "<cputune><emulatorpin cpuset='0'/></cputune>")), "");
  ASSERT_EQ(start(), "");
  cpu_set_t mask;
  ASSERT_EQ(::sched_getaffinity(worker_pid(), sizeof(mask), &mask), 0);
  EXPECT_EQ(CPU_COUNT(&mask), 1);
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
}

TEST_F(TuningTest, IoThreadsComeAndGo) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  const unsigned int both = VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG;
  const auto add = [&](std::uint32_t id, unsigned int flags) {
    return wait<void>(
        [&](auto done) { driver_->add_iothread(caller_, test_uuid(), id, flags, std::move(done)); });
  };
  EXPECT_EQ(add(3, both), "");
  EXPECT_EQ(last_probe(), "add 3");
  EXPECT_NE(add(3, 0).find("already using iothread_id '3'"), std::string::npos);
  ASSERT_EQ(driver_->iothreads(caller_, test_uuid(), 0).size(), 1u);
  EXPECT_NE(stored_xml().find("<iothread id='3'/>"), std::string::npos);
  const auto remove = [&](std::uint32_t id) {
    return wait<void>(
        [&](auto done) { driver_->delete_iothread(caller_, test_uuid(), id, both, std::move(done)); });
  };
  EXPECT_EQ(remove(3), "");
  EXPECT_EQ(last_probe(), "delete 3");
  EXPECT_NE(remove(3).find("cannot find IOThread '3'"), std::string::npos);
}

TEST_F(TuningTest, ParametersOfStoredDomains) {
  ASSERT_EQ(define(xml()), "");
  EXPECT_EQ(driver_->scheduler_type(caller_, test_uuid()), "posix");
  EXPECT_EQ(
      set(TuningGroup::scheduler, {{"cpu_shares", std::uint64_t{512}}, {"vcpu_quota", std::int64_t{-1}}}, 0),
      "");
  EXPECT_NE(stored_xml().find("<shares>512</shares>"), std::string::npos);
  EXPECT_NE(stored_xml().find("<quota>-1</quota>"), std::string::npos);
  EXPECT_EQ(set(TuningGroup::memory, {{"hard_limit", std::uint64_t{1 << 20}}}, 0), "");
  EXPECT_NE(stored_xml().find("<hard_limit unit='KiB'>1048576</hard_limit>"), std::string::npos);
  EXPECT_EQ(set(TuningGroup::numa, {{"numa_nodeset", std::string("0")}}, 0), "");
  EXPECT_NE(stored_xml().find("<memory mode='strict' nodeset='0'/>"), std::string::npos);
  EXPECT_EQ(set(TuningGroup::blkio, {{"device_weight", std::string("/dev/sda,500")}}, 0), "");
  EXPECT_NE(stored_xml().find("<path>/dev/sda</path>"), std::string::npos);
  EXPECT_EQ(set(TuningGroup::perf, {{"task_clock", true}}, 0), "");
  EXPECT_NE(stored_xml().find("<event name='task_clock' enabled='yes'/>"), std::string::npos);
  EXPECT_EQ(driver_->tuning(caller_, test_uuid(), TuningGroup::perf, 0).size(), 22u);
}

TEST_F(TuningTest, BadParametersChangeNothing) {
  ASSERT_EQ(define(xml()), "");
  const std::string before = stored_xml();
  EXPECT_NE(set(TuningGroup::scheduler, {{"cpu_shares", std::uint64_t{5}}, {"warp", std::uint64_t{9}}}, 0)
                .find("parameter 'warp' not supported"),
            std::string::npos);
  EXPECT_EQ(last_code_, VIR_ERR_ARGUMENT_UNSUPPORTED);
  EXPECT_NE(set(TuningGroup::scheduler, {{"cpu_shares", std::int32_t{5}}}, 0).find("expected 'ullong'"),
            std::string::npos);
  EXPECT_EQ(last_code_, VIR_ERR_INVALID_ARG);
  EXPECT_NE(set(TuningGroup::scheduler, {{"vcpu_period", std::uint64_t{5}}}, 0).find("out of range"),
            std::string::npos);
  EXPECT_NE(set(TuningGroup::scheduler,
                {{"vcpu_period", std::uint64_t{2000}}, {"vcpu_period", std::uint64_t{2000}}}, 0)
                .find("multiple times"),
            std::string::npos);
  EXPECT_NE(
      set(TuningGroup::memory, {{"hard_limit", std::uint64_t{9}}, {"swap_hard_limit", std::uint64_t{8}}}, 0)
          .find("lower than or equal"),
      std::string::npos);
  EXPECT_NE(set(TuningGroup::blkio, {{"device_weight", std::string("/dev/sda")}}, 0).find("unable to parse"),
            std::string::npos);
  EXPECT_NE(set(TuningGroup::numa, {{"numa_nodeset", std::string("x")}}, 0).find("nodeset"),
            std::string::npos);
  EXPECT_NE(set(TuningGroup::memory, {}, 1u << 30).find("flags"), std::string::npos);
  EXPECT_EQ(stored_xml(), before);
}

TEST_F(TuningTest, LiveLimitsNeedACgroup) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  if (driver_->environment().cgroups.has("cpu")) GTEST_SKIP() << "this host has one";
  EXPECT_NE(set(TuningGroup::scheduler, {{"cpu_shares", std::uint64_t{5}}}, VIR_DOMAIN_AFFECT_LIVE)
                .find("cgroup CPU controller is not mounted"),
            std::string::npos);
  EXPECT_EQ(last_code_, VIR_ERR_OPERATION_INVALID);
  EXPECT_THROW(driver_->tuning(caller_, test_uuid(), TuningGroup::memory, 0), Error);
  EXPECT_EQ(set(TuningGroup::memory, {{"hard_limit", std::uint64_t{1 << 20}}}, VIR_DOMAIN_AFFECT_CONFIG), "");
  ASSERT_EQ(destroy(), "");
  EXPECT_NE(start().find("Memory cgroup is not available"), std::string::npos)
      << "no limit is silently dropped";
}

// The files of a group, in a directory that has the names of cgroupfs.
TEST(CgroupTest, WritesWhatTheKernelReads) {
  std::string pattern = "/tmp/warren-cgroup-XXXXXX";
  const std::filesystem::path root = ::mkdtemp(pattern.data());
  const auto touch = [](const std::filesystem::path& file, const std::string& text = "") {
    std::ofstream(file) << text;
  };
  const auto read = [](const std::filesystem::path& file) {
    std::string line;
    std::getline(std::ifstream(file), line);
    return line;
  };
  touch(root / "cgroup.controllers", "cpu io memory");
  touch(root / "cgroup.subtree_control");
  const CgroupTree tree(root);
  EXPECT_TRUE(tree.has("memory"));
  EXPECT_FALSE(tree.has("cpuset"));
  const std::filesystem::path group = root / "domain-x";
  std::filesystem::create_directory(group);
  for (const char* file : {"cgroup.procs", "cpu.weight", "cpu.max", "memory.high", "memory.max",
                           "memory.swap.max", "io.weight", "io.max"})
    touch(group / file);
  const DomainCgroup cgroup(tree, "x");
  cgroup.enter(::getpid());
  EXPECT_EQ(read(group / "cgroup.procs"), std::to_string(::getpid()));
  config::DomainDefinition definition;
  definition.cpu_tuning.shares = 321;
  definition.cpu_tuning.global = {50'000, 25'000};
  definition.memory_tuning = {.hard_limit_kib = 1024, .swap_hard_limit_kib = 3072};
  definition.blkio_tuning.weight = 200;
  cgroup.apply(::getpid(), definition);
  EXPECT_EQ(read(group / "cpu.weight"), "321");
  EXPECT_EQ(read(group / "cpu.max"), "25000 50000");
  EXPECT_EQ(read(group / "memory.max"), "1048576");
  EXPECT_EQ(read(group / "memory.high"), "max");
  EXPECT_EQ(read(group / "memory.swap.max"), "2097152") << "without the memory's own";
  EXPECT_EQ(read(group / "io.weight"), "default 200");
  touch(group / "io.max", "7:0 rbps=100 wbps=max riops=max wiops=max");
  cgroup.apply(::getpid(), definition);
  EXPECT_EQ(read(group / "io.max"), "7:0 rbps=max wbps=max riops=max wiops=max")
      << "what is limited no more is free";
  definition.blkio_tuning.devices = {{.path = "/etc/passwd", .read_iops = 5}};
  EXPECT_THROW(cgroup.apply(::getpid(), definition), Error) << "no block device";
  std::filesystem::remove_all(root);
}

TEST_F(TuningTest, InterfaceLimitsAreReplacedByDirection) {
  config::Interface interface;
  set_bandwidth(interface, {{"inbound.average", 100u}, {"inbound.burst", 20u}, {"outbound.average", 50u}});
  set_bandwidth(interface, {{"inbound.average", 0u}});
  ASSERT_TRUE(interface.bandwidth);
  EXPECT_FALSE(interface.bandwidth->inbound);
  EXPECT_EQ(interface.bandwidth->outbound->average, 50u);
  set_bandwidth(interface, {{"outbound.average", 0u}});
  EXPECT_FALSE(interface.bandwidth);
  EXPECT_THROW(set_bandwidth(interface, {{"inbound.peak", 5u}}), Error);
  EXPECT_THROW(set_bandwidth(interface, {{"inbound.floor", 5u}}), Error);
  interface.type = config::InterfaceType::network;
  set_bandwidth(interface, {{"inbound.floor", 5u}, {"inbound.average", 7u}});
  EXPECT_EQ(interface.bandwidth->inbound, (config::BandwidthRate{.average = 7, .floor = 5}));
  set_bandwidth(interface, {{"inbound.average", 9u}});
  EXPECT_EQ(interface.bandwidth->inbound, (config::BandwidthRate{.average = 9}));
  set_bandwidth(interface, {{"inbound.average", 0u}});
  EXPECT_FALSE(interface.bandwidth);
}

TEST_F(TuningTest, KeysNmisAndTheResetAction) {
  ASSERT_EQ(define(xml()), "");
  const auto send = [&](KeyPress keys) {
    return wait<void>([&](auto done) { driver_->send_key(caller_, test_uuid(), keys, 0, std::move(done)); });
  };
  EXPECT_NE(send({VIR_KEYCODE_SET_LINUX, 0, {30}}).find("not running"), std::string::npos);
  ASSERT_EQ(start(), "");
  EXPECT_EQ(send({VIR_KEYCODE_SET_LINUX, 0, {29, 56, 111}}), "");
  EXPECT_EQ(last_probe(), "keys 29 56 57427") << "ctrl, alt, delete as set 1";
  EXPECT_NE(send({VIR_KEYCODE_SET_LINUX, 0, {5000}}).find("cannot translate keycode 5000 of linux codeset"),
            std::string::npos);
  EXPECT_NE(send({77, 0, {1}}).find("unsupported codeset"), std::string::npos);
  EXPECT_EQ(wait<void>([&](auto done) { driver_->inject_nmi(caller_, test_uuid(), 0, std::move(done)); }),
            "");
  EXPECT_EQ(last_probe(), "nmi");
  const auto set_action = [&](unsigned int type, unsigned int action) {
    return wait<void>([&](auto done) {
      driver_->set_lifecycle_action(caller_, test_uuid(), type, action, VIR_DOMAIN_AFFECT_LIVE,
                                    std::move(done));
    });
  };
  EXPECT_EQ(set_action(VIR_DOMAIN_LIFECYCLE_REBOOT, VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY), "");
  EXPECT_EQ(last_probe(), "stop");
  EXPECT_NE(live_xml().find("<on_reboot>destroy</on_reboot>"), std::string::npos);
  EXPECT_NE(stored_xml().find("<on_reboot>restart</on_reboot>"), std::string::npos);
  EXPECT_NE(
      set_action(VIR_DOMAIN_LIFECYCLE_POWEROFF, VIR_DOMAIN_LIFECYCLE_ACTION_PRESERVE).find("only on_crash"),
      std::string::npos);
  EXPECT_NE(set_action(9, 0).find("unknown"), std::string::npos);
}

// As for QEMU: a keyboard of virtio's gets them, where there is one.
TEST_F(TuningTest, KeysForAVirtioKeyboardHaveLinuxsCodesToo) {
  std::string text = xml();
  text.insert(text.find("</devices>"), "<input type='keyboard' bus='virtio'/>");
  ASSERT_EQ(define(text), "");
  ASSERT_EQ(start(), "");
  const KeyPress keys{VIR_KEYCODE_SET_ATSET1, 0, {0x1d, 0xe053}};
  EXPECT_EQ(wait<void>([&](auto done) { driver_->send_key(caller_, test_uuid(), keys, 0, std::move(done)); }),
            "");
  EXPECT_EQ(last_probe(), "keys 29 57427 linux 29 linux 111");
}

TEST_F(TuningTest, TheMonitorTypesAndPoints) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  const auto ask = [&](const std::string& arguments, const std::string& command = "input-send-event") {
    std::string text;
    const std::string request =
        fmt::format(R"({{"execute":"{}","id":5,"arguments":{}}})", command, arguments);
    const std::string failed = wait<std::string>(
        [&](auto done) { driver_->monitor_command(caller_, test_uuid(), request, 0, std::move(done)); },
        &text);
    return failed.empty() ? text : "failed: " + failed;
  };
  constexpr const char* kDone = R"({"return":{},"id":5})";
  EXPECT_EQ(ask(R"({"events":[{"type":"abs","data":{"axis":"x","value":32767}},)"
                R"({"type":"abs","data":{"axis":"y","value":0}},)"
                R"({"type":"btn","data":{"down":true,"button":"left"}}]})"),
            kDone);
  EXPECT_EQ(last_probe(), "input 3.0=32767 3.1=0 1.272=1");
  EXPECT_EQ(ask(R"({"device":"video0","events":[{"type":"rel","data":{"axis":"y","value":-5}},)"
                R"({"type":"btn","data":{"down":true,"button":"wheel-down"}},)"
                R"({"type":"btn","data":{"down":false,"button":"wheel-down"}},)"
                R"({"type":"key","data":{"down":false,"key":{"type":"number","data":157}}}]})"),
            kDone);
  EXPECT_EQ(last_probe(), "input 2.1=-5 2.8=-1 1.97=0");
  EXPECT_EQ(ask(R"({"keys":[{"type":"qcode","data":"ctrl"},{"type":"qcode","data":"a"}]})", "send-key"),
            kDone);
  EXPECT_EQ(last_probe(), "keys 29 30");
  EXPECT_EQ(ask(R"({"events":[]})"), kDone);
  for (const char* bad :
       {R"(7)", R"({})", R"({"events":7})", R"({"events":[7]})", R"({"events":[{"type":"abs"}]})",
        R"({"events":[{"type":"abs","data":{"axis":"x","value":32768}}]})",
        R"({"events":[{"type":"abs","data":{"axis":"z","value":0}}]})",
        R"({"events":[{"type":"rel","data":{"axis":"x","value":1e99}}]})",
        R"({"events":[{"type":"rel","data":{"axis":"x","value":4294967296}}]})",
        R"({"events":[{"type":"btn","data":{"down":1,"button":"left"}}]})",
        R"({"events":[{"type":"btn","data":{"down":true,"button":"fire"}}]})",
        R"({"events":[{"type":"mtt","data":{}}]})",
        R"({"events":[{"type":"key","data":{"down":true,"key":{"type":"qcode","data":"unmapped"}}}]})",
        R"({"events":[{"type":"key","data":{"down":true,"key":{"type":"number","data":-1}}}]})"}) {
    EXPECT_NE(ask(bad).find(R"("class":"GenericError")"), std::string::npos) << bad << ask(bad);
  }
  EXPECT_NE(ask(R"({"keys":[]})", "send-key").find("1 to 16"), std::string::npos);
  EXPECT_EQ(last_probe(), "keys 29 30") << "nothing of it was done";
}

TEST(KeyCodesTest, EverySetFindsTheSameKey) {
  const auto at_set1_code = [](std::uint32_t code_set, std::uint32_t code) -> std::optional<int> {
    const KeyCodes* key = find_key(code_set, code);
    return key == nullptr ? std::nullopt : std::optional<int>(key->at_set1);
  };
  // The letter A and the right control key.
  EXPECT_EQ(at_set1_code(VIR_KEYCODE_SET_LINUX, 30), 0x1e);
  EXPECT_EQ(at_set1_code(VIR_KEYCODE_SET_ATSET2, 0x1c), 0x1e);
  EXPECT_EQ(at_set1_code(VIR_KEYCODE_SET_USB, 4), 0x1e);
  EXPECT_EQ(at_set1_code(VIR_KEYCODE_SET_WIN32, 0x41), 0x1e);
  EXPECT_EQ(at_set1_code(VIR_KEYCODE_SET_OSX, 0), 0x1e);
  EXPECT_EQ(at_set1_code(VIR_KEYCODE_SET_LINUX, 97), 0xe01d);
  EXPECT_EQ(at_set1_code(VIR_KEYCODE_SET_XT_KBD, 0x11d), 0xe01d);
  EXPECT_EQ(at_set1_code(VIR_KEYCODE_SET_QNUM, 0x9d), 0xe01d);
  EXPECT_EQ(at_set1_code(VIR_KEYCODE_SET_ATSET1, 0xe01d), 0xe01d);
  EXPECT_EQ(at_set1_code(VIR_KEYCODE_SET_LINUX, 0xffffffff), std::nullopt);
}

class DumpTest : public TuningTest {
 protected:
  // Starts it; the answer comes later.
  void dump(const std::string& path, unsigned int flags = 0) {
    driver_->core_dump(caller_, test_uuid(), path, 0, flags,
                       [this](std::expected<void, Error> result) { answer_.emplace(std::move(result)); });
  }
  bool wait_for_answer() {
    return run_until([this] { return answer_.has_value(); });
  }
  std::optional<std::expected<void, Error>> answer_;
};

TEST_F(DumpTest, IsAJobWithProgressThatIsAborted) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  const std::string path = (root_ / "core").string();
  dump(path);
  ASSERT_TRUE(run_until([&] { return driver_->job_info(caller_, test_uuid()).memory_processed > 0; }));
  const JobInfo info = driver_->job_info(caller_, test_uuid());
  EXPECT_EQ(info.type, VIR_DOMAIN_JOB_BOUNDED);
  EXPECT_EQ(info.memory_total, 1000u);
  EXPECT_EQ(state().state, VIR_DOMAIN_PAUSED);
  EXPECT_EQ(state().reason, VIR_DOMAIN_PAUSED_DUMP);
  EXPECT_EQ(wait<void>([&](auto done) { driver_->abort_job(caller_, test_uuid(), 0, std::move(done)); }), "");
  ASSERT_TRUE(wait_for_answer());
  ASSERT_FALSE(answer_->has_value());
  EXPECT_EQ(answer_->error().code(), VIR_ERR_OPERATION_ABORTED);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  const auto done = driver_->job_statistics(caller_, test_uuid(), VIR_DOMAIN_JOB_STATS_COMPLETED);
  EXPECT_EQ(done.type, VIR_DOMAIN_JOB_CANCELLED);
  EXPECT_EQ(driver_->job_statistics(caller_, test_uuid(), VIR_DOMAIN_JOB_STATS_COMPLETED).type,
            VIR_DOMAIN_JOB_NONE)
      << "told once";
  EXPECT_NE(wait<void>([&](auto d) {
              driver_->abort_job(caller_, test_uuid(), 0, std::move(d));
            }).find("no job is active"),
            std::string::npos);
}

TEST_F(DumpTest, CompletesAndTellsSo) {
  ASSERT_EQ(define(xml("test", kTestUuid, "", "quick-dump")), "");
  ASSERT_EQ(start(), "");
  int told = 0;
  driver_->subscribe(VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, std::nullopt, [&](const DomainEvent&) { ++told; });
  dump((root_ / "core").string(), VIR_DUMP_CRASH);
  ASSERT_TRUE(wait_for_answer());
  EXPECT_TRUE(answer_->has_value());
  EXPECT_TRUE(is_shut_off());
  EXPECT_EQ(state().reason, VIR_DOMAIN_SHUTOFF_CRASHED);
  ASSERT_TRUE(run_until([&] { return told == 1; }));
  EXPECT_EQ(std::filesystem::file_size(root_ / "core"), 4u);
  EXPECT_EQ(std::filesystem::status(root_ / "core").permissions() & std::filesystem::perms::group_read,
            std::filesystem::perms::none)
      << "T20: a core holds all the guest's secrets";
}

TEST_F(DumpTest, FailuresLeaveTheDomainRunning) {
  ASSERT_EQ(define(xml("test", kTestUuid, "", "refuse-dump")), "");
  ASSERT_EQ(start(), "");
  dump((root_ / "core").string());
  ASSERT_TRUE(wait_for_answer());
  EXPECT_FALSE(answer_->has_value());
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  answer_.reset();
  dump("/nonexistent/core");
  ASSERT_TRUE(wait_for_answer());
  EXPECT_FALSE(answer_->has_value());
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  answer_.reset();
  dump("relative");
  ASSERT_TRUE(wait_for_answer());
  EXPECT_EQ(answer_->error().code(), VIR_ERR_INVALID_ARG);
}

TEST_F(TuningTest, TheMonitorsLanguage) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  const auto ask = [&](const std::string& command, unsigned int flags = 0) {
    std::string text;
    const std::string failed = wait<std::string>(
        [&](auto done) { driver_->monitor_command(caller_, test_uuid(), command, flags, std::move(done)); },
        &text);
    return failed.empty() ? text : "failed: " + failed;
  };
  EXPECT_TRUE(driver_->messages(caller_, test_uuid(), 0).empty());
  EXPECT_EQ(ask(R"({"execute":"query-status"})"),
            R"({"return":{"status":"running","singlestep":false,"running":true},"id":"libvirt-1"})");
  EXPECT_EQ(driver_->messages(caller_, test_uuid(), 0),
            std::vector<std::string>{"tainted: custom monitor control commands issued"});
  EXPECT_NE(ask(R"({"execute":"query-block","id":7})").find(R"("id":7)"), std::string::npos);
  EXPECT_NE(ask(R"({"execute":"query-blockstats"})").find(R"("rd_operations":7)"), std::string::npos);
  EXPECT_NE(ask(R"({"execute":"query-machines"})").find(R"([{"name":"q35")"), std::string::npos);
  EXPECT_NE(ask(R"({"execute":"query-commands"})").find(R"({"name":"query-cpus-fast"})"), std::string::npos);
  EXPECT_NE(ask(R"({"execute":"quit"})")
                .find(R"("error":{"class":"CommandNotFound","desc":"The command quit has not been found"})"),
            std::string::npos);
  EXPECT_NE(ask(R"({"run":1})").find("GenericError"), std::string::npos);
  EXPECT_NE(ask("{").find("failed: internal error: cannot parse json"), std::string::npos);
  EXPECT_EQ(ask("info status", 1), "VM status: running\r\n");
  EXPECT_EQ(ask("dance", 1), "unknown command: 'dance'\r\n");
}

TEST_F(TuningTest, AClockTheGuestSetIsToldAndKept) {
  ASSERT_EQ(define(xml("test", kTestUuid, "<clock offset='variable' adjustment='100' basis='utc'/>")), "");
  ASSERT_EQ(start(), "");
  std::vector<std::int64_t> told;
  driver_->subscribe(VIR_DOMAIN_EVENT_ID_RTC_CHANGE, std::nullopt, [&](const DomainEvent& event) {
    told.push_back(std::get<RtcChangeEvent>(event.body).offset_seconds);
  });
  tell_guest("clock 3700");
  ASSERT_TRUE(run_until([&] { return !told.empty(); }));
  EXPECT_EQ(told, std::vector<std::int64_t>{3700}) << "of a variable clock: from its basis";
  EXPECT_NE(live_xml().find("adjustment='3700'"), std::string::npos);
  EXPECT_NE(stored_xml().find("adjustment='100'"), std::string::npos);
}

TEST_F(TuningTest, TheDirtyRateIsMeasured) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  const auto begin = [&](int seconds, unsigned int flags) {
    return wait<void>(
        [&](auto done) { driver_->start_dirty_rate(caller_, test_uuid(), seconds, flags, std::move(done)); });
  };
  EXPECT_NE(begin(0, 0).find("within [1, 60]"), std::string::npos);
  EXPECT_NE(begin(1, VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_RING).find("not supported"), std::string::npos);
  EXPECT_EQ(begin(1, 0), "");
  const auto& table = driver_->environment().table;
  EXPECT_EQ(table.by_uuid(test_uuid())->snapshot()->dirty_rate.status, VIR_DOMAIN_DIRTYRATE_MEASURING);
  ASSERT_TRUE(run_until([&] {
    return table.by_uuid(test_uuid())->snapshot()->dirty_rate.status == VIR_DOMAIN_DIRTYRATE_MEASURED;
  }));
  EXPECT_EQ(table.by_uuid(test_uuid())->snapshot()->dirty_rate.mebibytes_per_second, 32);
}

TEST_F(TuningTest, MemoryOfNodesThatAreNotThereIsRefusedAtStart) {
  ASSERT_EQ(define(xml("test", kTestUuid, "<numatune><memory mode='strict' nodeset='777'/></numatune>")), "");
  EXPECT_NE(start().find("777"), std::string::npos);
  EXPECT_TRUE(is_shut_off());
  ASSERT_EQ(set(TuningGroup::numa, {{"numa_nodeset", std::string("0")}}, 0), "");
  EXPECT_EQ(start(), "");
}

TEST_F(TuningTest, EveryGroupOfStatistics) {
  ASSERT_EQ(define(xml("test", kTestUuid,
                       "<iothreads>1</iothreads><perf><event name='task_clock' enabled='yes'/></perf>")),
            "");
  ASSERT_EQ(start(), "");
  std::vector<DomainStatistics> records;
  const unsigned int groups = VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON |
                              VIR_DOMAIN_STATS_VCPU | VIR_DOMAIN_STATS_INTERFACE | VIR_DOMAIN_STATS_BLOCK |
                              VIR_DOMAIN_STATS_PERF | VIR_DOMAIN_STATS_IOTHREAD | VIR_DOMAIN_STATS_MEMORY |
                              VIR_DOMAIN_STATS_DIRTYRATE | VIR_DOMAIN_STATS_VM;
  ASSERT_EQ(wait<std::vector<DomainStatistics>>(
                [&](auto done) {
                  driver_->domain_statistics(caller_, {test_uuid()}, groups,
                                             VIR_CONNECT_GET_ALL_DOMAINS_STATS_ENFORCE_STATS,
                                             std::move(done));
                },
                &records),
            "");
  ASSERT_EQ(records.size(), 1u);
  std::set<std::string> names;
  for (const auto& parameter : records.front().parameters) {
    EXPECT_TRUE(names.insert(parameter.field).second) << parameter.field << " is there twice";
    EXPECT_LT(parameter.field.size(), std::size_t{VIR_TYPED_PARAM_FIELD_LENGTH});
  }
  for (const char* name : {"state.state", "cpu.time", "cpu.cache.monitor.count", "balloon.current",
                           "vcpu.current", "vcpu.0.time", "vcpu.0.delay", "net.count", "block.0.rd.reqs",
                           "perf.task_clock", "iothread.count", "iothread.1.poll-max-ns",
                           "memory.bandwidth.monitor.count", "dirtyrate.calc_status", "dirtyrate.calc_mode"})
    EXPECT_TRUE(names.contains(name)) << name;
}

TEST_F(TuningTest, BlockPeekReadsTheImage) {
  ASSERT_EQ(define(xml()), "");
  std::ofstream(root_ / "disk.img") << "0123456789";
  std::vector<std::uint8_t> bytes;
  const auto peek = [&](const std::string& path, std::uint64_t offset, std::size_t size) {
    return wait<std::vector<std::uint8_t>>(
        [&](auto done) { driver_->block_peek(caller_, test_uuid(), path, offset, size, 0, std::move(done)); },
        &bytes);
  };
  EXPECT_EQ(peek("vda", 3, 4), "");
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), "3456");
  EXPECT_NE(peek("/etc/shadow", 0, 4).find("invalid disk or path"), std::string::npos) << "T19";
  EXPECT_NE(peek("vda", ~0ull, 4), "");
  EXPECT_NE(peek("vda", 8, 4).find("ends before byte 12"), std::string::npos);
}

// What the file holds is not what the disk does.
TEST_F(TuningTest, BlockPeekRefusesWhatIsNotRaw) {
  std::string text = xml();
  const std::string source = "<source file=";
  ASSERT_NE(text.find(source), std::string::npos);
  text.insert(text.find(source), "<driver name='qemu' type='qcow2'/>");
  ASSERT_EQ(define(text), "");
  std::vector<std::uint8_t> bytes;
  const std::string said = wait<std::vector<std::uint8_t>>(
      [&](auto done) { driver_->block_peek(caller_, test_uuid(), "vda", 0, 4, 0, std::move(done)); }, &bytes);
  EXPECT_NE(said.find("'qcow2'"), std::string::npos) << said;
}

TEST_F(TuningTest, ProcessorTimeAndPowerStates) {
  ASSERT_EQ(define(xml()), "");
  EXPECT_THROW(driver_->total_cpu_statistics(caller_, test_uuid(), 0), Error);
  ASSERT_EQ(start(), "");
  EXPECT_EQ(driver_->total_cpu_statistics(caller_, test_uuid(), 0).size(), 3u);
  EXPECT_THROW(driver_->host_cpu_statistics(caller_, test_uuid(), 0), Error);
  const auto suspend = [&](unsigned int target, std::uint64_t duration) {
    return wait<void>([&](auto done) {
      driver_->suspend_guest(caller_, test_uuid(), target, duration, 0, std::move(done));
    });
  };
  EXPECT_NE(suspend(VIR_NODE_SUSPEND_TARGET_MEM, 0).find("agent is not configured"), std::string::npos);
  EXPECT_NE(suspend(VIR_NODE_SUSPEND_TARGET_DISK, 0).find("agent is not configured"), std::string::npos);
  EXPECT_NE(suspend(VIR_NODE_SUSPEND_TARGET_MEM, 5).find("Duration"), std::string::npos);
  EXPECT_NE(suspend(9, 0).find("Unknown suspend target"), std::string::npos);
}

}  // namespace
}  // namespace warren::driver::domain
