// The decoding of SIGBUS with signals that are made up: a kernel that has memory fail is not to be had
// everywhere.
#include "vmm-core/os/memory_error.h"

#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace warren::vmm {
namespace {

siginfo_t signal_of(int code, std::uintptr_t address) {
  siginfo_t information{};
  information.si_signo = SIGBUS;
  information.si_code = code;
  information.si_addr = reinterpret_cast<void*>(address);  // never followed
  return information;
}

TEST(MemoryError, WhatNobodyUsesIsPassedOn) {
  const FileDescriptor pipe = follow_memory_errors();
  EXPECT_FALSE(read_memory_error(pipe));
  handle_memory_error(signal_of(BUS_MCEERR_AO, 0x1234000));
  handle_memory_error(signal_of(BUS_MCEERR_AO, 0x5678000));
  auto error = read_memory_error(pipe);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->address, 0x1234000u);
  EXPECT_FALSE(error->action_required);
  error = read_memory_error(pipe);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->address, 0x5678000u);
  EXPECT_FALSE(read_memory_error(pipe));
}

TEST(MemoryError, ATrapKeepsOne) {
  const FileDescriptor pipe = follow_memory_errors();
  MemoryErrorTrap trap;
  EXPECT_FALSE(trap.take());
  handle_memory_error(signal_of(BUS_MCEERR_AR, 0x9000));
  EXPECT_EQ(trap.take(), 0x9000u);
  EXPECT_FALSE(trap.take());
  EXPECT_FALSE(read_memory_error(pipe));
}

// A thread that needs what is not there waits, and who reads the pipe says why the process ends.
TEST(MemoryError, AThreadThatNeedsTheMemoryWaitsForTheEnd) {
  const FileDescriptor pipe = follow_memory_errors();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(30);
    std::thread([] { handle_memory_error(signal_of(BUS_MCEERR_AR, 0xa000)); }).detach();
    for (;;) {
      if (const auto error = read_memory_error(pipe))
        ::_exit(error->action_required && error->address == 0xa000 ? 0 : 1);
      ::usleep(1000);
    }
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(MemoryError, OtherBusErrorsEndTheProcess) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    handle_memory_error(signal_of(BUS_ADRERR, 0));
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGBUS);
}

}  // namespace
}  // namespace warren::vmm
