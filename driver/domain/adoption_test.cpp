// A daemon that ends in any way and comes again (T14), and workers that did something meanwhile (T15).
#include <csignal>

#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

class AdoptionTest : public DriverFixture {
 protected:
  // The daemon is away while the guest does something.
  void daemon_dies() {
    driver_.reset();
    loop_ = std::make_unique<asio::io_context>();
  }
  void write_to_guest(const std::string& tty, const std::string& line) {
    std::ofstream(tty) << line << "\n";
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::string console_path() {
    return driver_->environment()
        .table.by_uuid(test_uuid())
        ->snapshot()
        ->live->devices.serials[0]
        .backend.path;
  }
};

TEST_F(AdoptionTest, TheGuestNeverNoticed) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  ASSERT_EQ(suspend(), "");
  DomainHandle handle = driver_->lookup_by_uuid(caller_, test_uuid());
  pid_t pid = worker_pid();
  std::string text = driver_->xml(caller_, test_uuid(), 0);
  start_daemon();
  EXPECT_EQ(driver_->lookup_by_id(caller_, handle.id), handle);
  EXPECT_EQ(worker_pid(), pid);
  EXPECT_EQ(state().state, VIR_DOMAIN_PAUSED);
  EXPECT_EQ(state().reason, VIR_DOMAIN_PAUSED_USER);
  EXPECT_EQ(driver_->xml(caller_, test_uuid(), 0), text);
  EXPECT_TRUE(driver_->is_persistent(caller_, test_uuid()));
  EXPECT_EQ(driver_->block_statistics(caller_, test_uuid(), "vda").read_requests, 7);
  EXPECT_TRUE(events_.empty());
  ASSERT_EQ(resume(), "");
  // Events go on, the console too, and no id is given twice.
  tell_guest("reset");
  ASSERT_TRUE(wait_for_event("test:id1"));
  ASSERT_EQ(destroy(), "");
  EXPECT_TRUE(run_until([&] { return is_gone(pid); }));
  ASSERT_EQ(start(), "");
  EXPECT_GT(driver_->lookup_by_uuid(caller_, test_uuid()).id, handle.id);
}

TEST_F(AdoptionTest, TransientDomainsComeBack) {
  ASSERT_EQ(create(xml()), "");
  start_daemon();
  EXPECT_FALSE(driver_->is_persistent(caller_, test_uuid()));
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  ASSERT_EQ(destroy(), "");
  EXPECT_TRUE(driver_->list(caller_, 0).empty());
}

TEST_F(AdoptionTest, ShutdownMeanwhile) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  std::string tty = console_path();
  pid_t pid = worker_pid();
  daemon_dies();
  write_to_guest(tty, "poweroff");
  start_daemon();
  EXPECT_TRUE(is_shut_off());
  EXPECT_EQ(state().reason, VIR_DOMAIN_SHUTOFF_SHUTDOWN);
  EXPECT_TRUE(run_until([&] { return events_.size() == 2; }));
  EXPECT_EQ(events_.back(), lifecycle(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN));
  EXPECT_TRUE(run_until([&] { return is_gone(pid); }));
}

TEST_F(AdoptionTest, RebootAskedForAndDoneMeanwhile) {
  ASSERT_EQ(define(xml("test", kTestUuid, "", "ignore-power-button")), "");
  ASSERT_EQ(start(), "");
  ASSERT_EQ(wait<void>([&](auto done) { driver_->reboot(caller_, test_uuid(), 0, std::move(done)); }), "");
  std::string tty = console_path();
  int id = driver_->lookup_by_uuid(caller_, test_uuid()).id;
  daemon_dies();
  write_to_guest(tty, "poweroff");
  start_daemon();
  EXPECT_EQ(state().state, VIR_DOMAIN_RUNNING);
  EXPECT_EQ(driver_->lookup_by_uuid(caller_, test_uuid()).id, id);
}

TEST_F(AdoptionTest, CrashMeanwhile) {
  ASSERT_EQ(define(xml("test", kTestUuid, "<on_crash>preserve</on_crash>")), "");
  ASSERT_EQ(start(), "");
  std::string tty = console_path();
  daemon_dies();
  write_to_guest(tty, "crash lost");
  start_daemon();
  EXPECT_EQ(state().state, VIR_DOMAIN_CRASHED);
  start_daemon();
  EXPECT_EQ(state().state, VIR_DOMAIN_CRASHED);
  EXPECT_TRUE(events_.empty());
}

TEST_F(AdoptionTest, ResetsMeanwhileAreTold) {
  ASSERT_EQ(create(xml()), "");
  std::string tty = console_path();
  daemon_dies();
  write_to_guest(tty, "reset");
  write_to_guest(tty, "reset");
  start_daemon();
  EXPECT_TRUE(run_until([&] { return events_.size() == 2; }));
  EXPECT_EQ(events_[0], "test:id1");
  start_daemon();
  EXPECT_TRUE(events_.empty());
}

TEST_F(AdoptionTest, WorkerGoneMeanwhile) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(start(), "");
  pid_t pid = worker_pid();
  daemon_dies();
  ::kill(pid, SIGKILL);
  start_daemon();
  ASSERT_TRUE(wait_for_event(lifecycle(VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED)));
  EXPECT_TRUE(is_shut_off());
  EXPECT_FALSE(std::filesystem::exists(root_ / "run/domain" / kTestUuid));
  ASSERT_EQ(start(), "");
}

TEST_F(AdoptionTest, HungWorkerDoesNotHoldTheDaemonUp) {
  ASSERT_EQ(create(xml()), "");
  pid_t pid = worker_pid();
  ::kill(pid, SIGSTOP);
  driver_.reset();
  auto before = std::chrono::steady_clock::now();
  start_daemon();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(15));
  EXPECT_EQ(driver_->control_info(caller_, test_uuid(), 0).state, unsigned{VIR_DOMAIN_CONTROL_ERROR});
  ASSERT_EQ(destroy(), "");
  EXPECT_TRUE(run_until([&] { return is_gone(pid); }));
}

TEST_F(AdoptionTest, AutostartOncePerBoot) {
  ASSERT_EQ(define(xml()), "");
  ASSERT_EQ(
      wait<void>([&](auto done) { driver_->set_autostart(caller_, test_uuid(), true, std::move(done)); }),
      "");
  start_daemon();
  EXPECT_TRUE(is_shut_off());
  std::filesystem::remove(root_ / "run/autostarted");
  start_daemon();
  ASSERT_TRUE(wait_for_state(VIR_DOMAIN_RUNNING));
}

TEST_F(AdoptionTest, BrokenStatusIsNotFatal) {
  ASSERT_EQ(define(xml()), "");
  std::filesystem::create_directories(root_ / "run/status");
  std::ofstream(root_ / "run/status" / (std::string(kTestUuid) + ".xml")) << "<domstatus version='1'";
  start_daemon();
  EXPECT_TRUE(is_shut_off());
  EXPECT_NE(log_.find("is broken"), std::string::npos);
}

}  // namespace
}  // namespace warren::driver::domain
