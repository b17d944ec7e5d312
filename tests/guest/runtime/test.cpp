#include "tests/guest/runtime/test.h"

#include "tests/guest/machine/memory.h"

extern "C" const guest::TestCase test_cases_start[], test_cases_end[];

namespace guest {
namespace {

std::string_view running;
unsigned failures_of_test;
bool skipped;

bool matches(std::string_view name, std::string_view patterns) {
  while (!patterns.empty()) {
    auto end = patterns.find(',');
    auto pattern = patterns.substr(0, end);
    if (pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1)) : name == pattern)
      return true;
    if (end == patterns.npos) break;
    patterns.remove_prefix(end + 1);
  }
  return false;
}

}  // namespace

std::string_view current_test() {
  return running;
}
bool note_failure() {
  return ++failures_of_test <= 5;
}

void note_skip(std::string_view reason) {
  skipped = true;
  print("SKIP ", running, ": ", reason, "\n");
}

void report_false(const char* expression, const char* file, int line) {
  if (!note_failure()) return;
  print("FAIL ", running, ": ", expression, " at ", file, ":", line, "\n");
}

unsigned run_tests(std::string_view patterns) {
  unsigned passed = 0, failed = 0, skips = 0;
  for (const TestCase* test = test_cases_start; test < test_cases_end; ++test) {
    if (!matches(test->name, patterns)) continue;
    running = test->name;
    failures_of_test = 0;
    skipped = false;
    print("TEST ", running, "\n");
    reset_allocations();
    test->run();
    if (failures_of_test != 0) {
      ++failed;
    } else if (skipped) {
      ++skips;
    } else {
      ++passed;
      print("PASS ", running, "\n");
    }
    running = {};
  }
  print("END passed=", passed, " failed=", failed, " skipped=", skips, "\n");
  return failed;
}

void list_tests() {
  for (const TestCase* test = test_cases_start; test < test_cases_end; ++test) print(test->name, "\n");
}

}  // namespace guest
