// T14: kill -9 of the daemon at any point of define, start and destroy; the next daemon rolls forward or
// back.
//
// The daemon is a child of the test under ptrace(2): it is killed at its N-th system call, for every N in
// steps, so the points are those there really are and no code is there for the test's sake.
#include <csignal>
#include <set>

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/domain/driver_fixture.h"

namespace warren::driver::domain {
namespace {

class FaultPointTest : public DriverFixture {
 protected:
  // Runs `operation` in a daemon of its own and kills that at the `point`-th stop (entry or exit of a system
  // call, in any of its threads) after it began. False when the operation was over before.
  bool kill_at(int point, const std::function<void()>& operation) {
    driver_.reset();
    loop_.reset();
    pid_t child = ::fork();
    if (child == 0) {
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      ::raise(SIGSTOP);
      start_daemon();
      ::syscall(SYS_getppid);  // the mark from which stops are counted
      operation();
      ::_exit(0);
    }
    bool killed = follow(child, point);
    while (::waitpid(-1, nullptr, __WALL | WNOHANG) > 0) {
    }
    return killed;
  }

  bool follow(pid_t child, int point) {
    int status = 0;
    ::waitpid(child, &status, __WALL);
    ::ptrace(PTRACE_SETOPTIONS, child, nullptr,
             PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    std::set<pid_t> known{child};
    bool began = false, killed = false;
    int stops = 0;
    for (;;) {
      pid_t thread = ::waitpid(-1, &status, __WALL);
      if (thread < 0) return killed;
      if (WIFEXITED(status) || WIFSIGNALED(status)) {
        if (thread == child) return killed;
        continue;
      }
      if (!WIFSTOPPED(status)) continue;
      int signal = WSTOPSIG(status);
      if (signal == (SIGTRAP | 0x80)) {
        signal = 0;
        if (!began && thread == child) began = is_mark(child);
        if (began && !killed && ++stops == point) {
          ::kill(child, SIGKILL);
          killed = true;
        }
      } else if (signal == SIGTRAP || (signal == SIGSTOP && known.insert(thread).second)) {
        signal = 0;  // a new thread, or the tracer's own events
      }
      ::ptrace(PTRACE_SYSCALL, thread, nullptr, static_cast<std::intptr_t>(signal));
    }
  }

  static bool is_mark(pid_t thread) {
    user_regs_struct registers{};
    ::ptrace(PTRACE_GETREGS, thread, nullptr, &registers);
    return registers.orig_rax == SYS_getppid;
  }

  static bool can_trace() {
    pid_t child = ::fork();
    if (child == 0) ::_exit(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  // Fake workers of this build that run.
  static int count_workers() {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      std::error_code failed;
      auto program = std::filesystem::read_symlink(entry.path() / "exe", failed);
      if (!failed && program == FAKE_WORKER_PATH) ++count;
    }
    return count;
  }

  bool exists() { return !driver_->list(caller_, 0).empty(); }

  // Calls `check` with the next daemon after a kill at each point; returns how many there were.
  int for_each_point(const std::function<void()>& prepare, const std::function<void()>& operation,
                     const std::function<void()>& check, int step) {
    int points = 0;
    for (int point = 1; !HasFailure(); point += step) {
      prepare();
      bool killed = kill_at(point, operation);
      start_daemon();
      check();
      if (HasFailure()) ADD_FAILURE() << "killed at stop " << point << "; log:\n" << log_;
      if (!killed) break;
      ++points;
    }
    return points;
  }
};

TEST_F(FaultPointTest, DefineIsWholeOrNothing) {
  if (!can_trace()) GTEST_SKIP() << "ptrace(2) is not permitted here";
  int points = for_each_point(
      [&] {
        if (exists()) {
          ASSERT_EQ(undefine(), "");
        }
      },
      [&] { define(xml()); },
      [&] {
        if (!exists()) {
          ASSERT_EQ(define(xml()), "");
        }
        EXPECT_NE(driver_->xml(caller_, test_uuid(), 0).find("<name>test</name>"), std::string::npos);
        EXPECT_EQ(log_, "");
      },
      1);
  EXPECT_GE(points, 20);
}

TEST_F(FaultPointTest, StartIsRolledForwardOrBack) {
  if (!can_trace()) GTEST_SKIP() << "ptrace(2) is not permitted here";
  ASSERT_EQ(define(xml()), "");
  int points =
      for_each_point([] {}, [&] { start(); },
                     [&] {
                       // A stray worker would hold the disk's lock.
                       if (is_shut_off()) {
                         ASSERT_EQ(start(), "");
                       }
                       EXPECT_EQ(suspend(), "");
                       EXPECT_EQ(resume(), "");
                       EXPECT_EQ(destroy(), "");
                       EXPECT_FALSE(std::filesystem::exists(root_ / "run/domain" / kTestUuid));
                       EXPECT_TRUE(run_until([] { return count_workers() == 0; }, std::chrono::seconds(5)));
                     },
                     1);
  EXPECT_GE(points, 200);
}

TEST_F(FaultPointTest, DestroyIsFinishedByTheNext) {
  if (!can_trace()) GTEST_SKIP() << "ptrace(2) is not permitted here";
  ASSERT_EQ(define(xml()), "");
  int points =
      for_each_point([&] { ASSERT_EQ(start(), ""); }, [&] { destroy(); },
                     [&] {
                       run_until([&] { return is_shut_off() || worker_pid() < 0 || !is_gone(worker_pid()); });
                       if (!is_shut_off()) {
                         EXPECT_EQ(destroy(), "");
                       }
                       EXPECT_TRUE(run_until([&] { return is_shut_off(); }));
                       EXPECT_FALSE(std::filesystem::exists(root_ / "run/domain" / kTestUuid));
                       EXPECT_TRUE(run_until([] { return count_workers() == 0; }, std::chrono::seconds(5)));
                     },
                     1);
  EXPECT_GE(points, 20);
}

}  // namespace
}  // namespace warren::driver::domain
