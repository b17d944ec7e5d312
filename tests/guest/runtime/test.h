// Test cases: TEST(group, name) { … } registers itself in a linker section; the command line chooses which
// run.
//
// EXPECT and EXPECT_EQUAL note a failure and go on; REQUIRE and REQUIRE_EQUAL return from the test. SKIP says
// why a test does not apply to this machine.
#pragma once

#include <cstdint>
#include <string_view>

#include "tests/guest/runtime/print.h"

namespace guest {

struct TestCase {
  const char* name;
  void (*run)();
};

// Runs every test whose name matches one of the comma-separated patterns (a trailing * matches any rest) and
// prints TEST/PASS/FAIL/SKIP lines. Returns the number that failed.
unsigned run_tests(std::string_view patterns);
void list_tests();

// The name of the test that runs, for reports from interrupt handlers; empty between tests.
std::string_view current_test();
// Counts a failure of the running test; false when so many were reported that this one need not be.
bool note_failure();
void note_skip(std::string_view reason);

template <typename Left, typename Right>
void report_unequal(const char* expression, const Left& left, const Right& right, const char* file,
                    int line) {
  if (!note_failure()) return;
  print("FAIL ", current_test(), ": ", expression, " (", left, " and ", right, ") at ", file, ":", line,
        "\n");
}
void report_false(const char* expression, const char* file, int line);

}  // namespace guest

#define TEST(group, name)                                                                                    \
  static void test_##group##_##name();                                                                       \
  [[gnu::section(".test_cases"), gnu::used]] static const ::guest::TestCase test_##group##_##name##_case = { \
      #group "." #name, test_##group##_##name};                                                              \
  static void test_##group##_##name()

#define EXPECT(condition) \
  ((condition) ? static_cast<void>(0) : ::guest::report_false(#condition, __FILE_NAME__, __LINE__))
#define EXPECT_EQUAL(left, right)                                                                     \
  do {                                                                                                \
    auto left_value = (left);                                                                         \
    auto right_value = (right);                                                                       \
    if (!(left_value == right_value))                                                                 \
      ::guest::report_unequal(#left " == " #right, left_value, right_value, __FILE_NAME__, __LINE__); \
  } while (false)
#define REQUIRE(condition)                                        \
  do {                                                            \
    if (!(condition)) {                                           \
      ::guest::report_false(#condition, __FILE_NAME__, __LINE__); \
      return;                                                     \
    }                                                             \
  } while (false)
#define REQUIRE_EQUAL(left, right)                                                                    \
  do {                                                                                                \
    auto left_value = (left);                                                                         \
    auto right_value = (right);                                                                       \
    if (!(left_value == right_value)) {                                                               \
      ::guest::report_unequal(#left " == " #right, left_value, right_value, __FILE_NAME__, __LINE__); \
      return;                                                                                         \
    }                                                                                                 \
  } while (false)
#define SKIP(reason)            \
  do {                          \
    ::guest::note_skip(reason); \
    return;                     \
  } while (false)
