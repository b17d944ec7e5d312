#include "driver/tool/tool.h"

#include <csignal>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "driver/contract/error.h"

namespace warren::driver {
namespace {

TEST(Tool, TakesItsInputAndSaysWhatItSaid) {
  const ToolResult result =
      run_tool({.name = "sh", .arguments = {"-c", "cat; echo no >&2; exit 3"}, .input = "yes"});
  EXPECT_EQ(result.status, 3);
  EXPECT_EQ(result.output, "yes");
  EXPECT_EQ(result.errors, "no\n");
}

TEST(Tool, InputThatNobodyReadsIsNoFault) {
  std::signal(SIGPIPE, SIG_IGN);  // as in the daemon
  EXPECT_EQ(run_tool({.name = "true", .input = std::string(1 << 20, 'x')}).status, 0);
}

TEST(Tool, HasWhatItIsGivenAndNothingElse) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const vmm::FileDescriptor read(ends[0]), write(ends[1]);
  const std::string script = "echo yes >&4; test -e /proc/self/fd/3 && ! test -e /proc/self/fd/5";
  EXPECT_EQ(run_tool({.name = "sh", .arguments = {"-c", script}, .inherited = {&read, &write}}).status, 0);
  char text[8] = {};
  ASSERT_EQ(::read(read.get(), text, sizeof(text)), 4);
  EXPECT_STREQ(text, "yes\n");
}

TEST(Tool, OneThatIsNotThereIsNamed) {
  try {
    run_tool({.name = "no-such-tool"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.detail(), "Cannot find 'no-such-tool' in path: install it, this is done with it");
  }
}

TEST(Tool, T29OneThatHangsIsEnded) {
  try {
    run_tool({.name = "sleep", .arguments = {"60"}, .deadline = std::chrono::seconds(1)});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_OPERATION_TIMEOUT);
  }
}

TEST(Tool, WhatAFailureSaidIsInTheErrorAsText) {
  try {
    require_tool({.name = "sh", .arguments = {"-c", "printf 'bad\\001\\377\\n' >&2; exit 1"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.detail(), "sh failed with status 1: bad??");
  }
}

}  // namespace
}  // namespace warren::driver
