#include "vmm-core/os/event_thread.h"

#include <atomic>
#include <functional>
#include <utility>

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace warren::vmm {
namespace {

class Callback final : public EventHandler {
 public:
  explicit Callback(std::function<void()> action) : action_(std::move(action)) {}
  void on_event(std::uint32_t) noexcept override { action_(); }

 private:
  std::function<void()> action_;
};

FileDescriptor quiet() {
  return FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

void make_ready(const FileDescriptor& descriptor) {
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(descriptor.get(), &one, sizeof(one)), 8);
}

TEST(EventThread, RunsItsWorkAndServesDescriptors) {
  EventThread thread("test");
  const FileDescriptor descriptor = quiet();
  std::atomic<int> events = 0;
  Callback count([&] {
    ++events;
    thread.remove(descriptor.get());
  });
  make_ready(descriptor);
  thread.run([&] { thread.add(descriptor.get(), EPOLLIN, count); });
  for (int turn = 0; turn < 1000 && events == 0; ++turn) {
    thread.run([] {});
    ::usleep(1000);
  }
  thread.run([] {});
  EXPECT_EQ(events, 1);
}

class Looked final : public Polled {
 public:
  void polling_begins() noexcept override { ++begins; }
  bool poll() noexcept override {
    ++looks;
    if (left == 0) return false;
    --left;
    return true;
  }
  void polling_ends() noexcept override { ++ends; }
  std::atomic<int> begins = 0, ends = 0, looks = 0, left = 0;
};

// A thread that is asked again at once does not sleep; one that is not, does.
TEST(EventThread, PollsForWhatComesSoon) {
  EventThread thread("test");
  const FileDescriptor descriptor = quiet();
  Looked looked;
  std::atomic<int> again = 0;
  Callback answer([&] {
    std::uint64_t count = 0;
    ASSERT_EQ(::read(descriptor.get(), &count, sizeof(count)), 8);
    if (again.fetch_sub(1) > 0) make_ready(descriptor);
  });
  thread.run([&] {
    thread.add(descriptor.get(), EPOLLIN, answer);
    thread.add(looked);
  });
  for (int i = 0; i < 5; ++i) {
    ::usleep(3000);
    make_ready(descriptor);
  }
  ::usleep(3000);
  EXPECT_EQ(looked.looks, 0) << "nothing has come soon";
  looked.left = 10;
  again = 50;
  make_ready(descriptor);
  ::usleep(20'000);
  EXPECT_GT(looked.looks, 10);
  EXPECT_EQ(looked.left, 0);
  EXPECT_GE(looked.begins, 1);
  EXPECT_EQ(looked.begins, looked.ends) << "it sleeps";
  int looks = 0;
  for (int i = 0; i < 10; ++i) {
    if (i == 6) looks = looked.looks;
    ::usleep(3000);
    make_ready(descriptor);
  }
  ::usleep(3000);
  EXPECT_EQ(looked.looks, looks) << "it finds nothing";
  // Every sixteenth sleep or so it tries whether it would.
  for (int i = 0; i < 40; ++i) {
    ::usleep(1000);
    make_ready(descriptor);
  }
  ::usleep(3000);
  EXPECT_GT(looked.looks, looks);
  thread.run([&] { thread.remove(looked); });
}

// T7: what is told of a descriptor after it was closed is not told to whoever got its number.
TEST(EventThread, AnEventOfAClosedDescriptorIsNobodys) {
  EventThread thread("test");
  const FileDescriptor first = quiet();
  FileDescriptor second = quiet(), third = quiet();
  const int number = second.get();
  int of_second = 0, of_third = 0;
  Callback third_handler([&] { ++of_third; });
  Callback second_handler([&] { ++of_second; });
  Callback first_handler([&] {
    thread.remove(first.get());
    thread.remove(number);
    ASSERT_EQ(::dup2(third.get(), number), number);
    thread.add(number, EPOLLIN, third_handler);
  });
  // Both are ready in one batch, the first before the second.
  thread.run([&] {
    thread.add(first.get(), EPOLLIN, first_handler);
    thread.add(number, EPOLLIN, second_handler);
    make_ready(first);
    make_ready(second);
  });
  for (int turn = 0; turn < 20; ++turn) {
    thread.run([] {});
    ::usleep(1000);
  }
  EXPECT_EQ(of_second, 0);
  EXPECT_EQ(of_third, 0);
}

}  // namespace
}  // namespace warren::vmm
