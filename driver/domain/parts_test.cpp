// The parts of the driver that need no domain.
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/domain/character_file.h"
#include "driver/domain/counters_reader.h"
#include "driver/domain/disk_image.h"
#include "driver/domain/event_hub.h"
#include "driver/domain/job_slot.h"
#include "driver/domain/machine_translation.h"
#include "driver/domain/worker_process.h"
#include "vmm-core/state/counters.h"

namespace warren::driver::domain {
namespace {

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/warren-parts-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

Job job(const std::string& name) {
  return {name, {.user_id = 1, .process_id = 2, .connection_id = 3}, {}, {}};
}

TEST(JobSlot, RunsInOrderAndUrgentFirst) {
  asio::io_context loop;
  JobSlot slot(loop, "d");
  std::string order;
  auto run = [&](std::string name, JobSlot::Urgency urgency) {
    auto task = [](JobSlot& the_slot, std::string& out, std::string text, JobSlot::Urgency how) -> Task<> {
      auto hold = co_await the_slot.acquire(job(text), how);
      out += text;
      co_await asio::post(asio::use_awaitable);
    };
    run_task<void>(loop, task(slot, order, std::move(name), urgency),
                   [](auto result) { EXPECT_TRUE(result); });
  };
  run("a", JobSlot::Urgency::normal);
  run("b", JobSlot::Urgency::normal);
  run("c", JobSlot::Urgency::urgent);
  run("d", JobSlot::Urgency::urgent);
  loop.run();
  EXPECT_EQ(order, "acdb");
  EXPECT_FALSE(slot.current());
}

TEST(JobSlot, RefusesBehindALongJob) {
  asio::io_context loop;
  JobSlot slot(loop, "d", std::chrono::milliseconds(30));
  std::optional<JobSlot::Hold> held;
  std::string refusal;
  auto take = [](JobSlot& the_slot, std::optional<JobSlot::Hold>& out) -> Task<> {
    out.emplace(co_await the_slot.acquire(job("long")));
  };
  auto wait = [](JobSlot& the_slot) -> Task<> { auto hold = co_await the_slot.acquire(job("short")); };
  run_task<void>(loop, take(slot, held), [](auto) {});
  run_task<void>(loop, wait(slot), [&](auto result) { refusal = result ? "" : result.error().message(); });
  loop.run();
  EXPECT_NE(refusal.find(
                "domain 'd' cannot take 'short' now: job 'long' of connection 3 (uid 1, pid 2) is at work"),
            std::string::npos)
      << refusal;
  std::string at_once;
  loop.restart();
  run_task<void>(loop, wait(slot), [&](auto result) { at_once = result ? "" : result.error().message(); });
  loop.poll();
  EXPECT_NE(at_once, "");
  held.reset();
  std::string later = "not called";
  loop.restart();
  run_task<void>(loop, wait(slot), [&](auto result) { later = result ? "" : result.error().message(); });
  loop.run();
  EXPECT_EQ(later, "");
}

TEST(EventHub, DeliversInOrderLaterAndByFilter) {
  asio::io_context loop;
  EventHub hub(loop);
  Uuid one = Uuid::random(), two = Uuid::random();
  std::vector<std::string> seen;
  hub.subscribe(VIR_DOMAIN_EVENT_ID_LIFECYCLE, {},
                [&](const DomainEvent& e) { seen.push_back("all " + e.domain.name); });
  EventSource::SubscriptionId second = 0;
  hub.subscribe(VIR_DOMAIN_EVENT_ID_LIFECYCLE, two, [&](const DomainEvent& e) {
    seen.push_back("two " + e.domain.name);
    hub.unsubscribe(second);
  });
  second = hub.subscribe(VIR_DOMAIN_EVENT_ID_LIFECYCLE, {},
                         [&](const DomainEvent&) { seen.push_back("until two"); });
  hub.subscribe(VIR_DOMAIN_EVENT_ID_REBOOT, {}, [&](const DomainEvent&) { seen.push_back("reboot"); });
  hub.emit({{"one", one, 1}, LifecycleEvent{}});
  hub.emit({{"two", two, 1}, LifecycleEvent{}});
  hub.emit({{"one", one, 1}, RebootEvent{}});
  EXPECT_TRUE(seen.empty());
  loop.run();
  EXPECT_EQ(seen, (std::vector<std::string>{"all one", "until two", "all two", "two two", "reboot"}));
  EXPECT_THROW(hub.subscribe(27, {}, {}), Error);
  EXPECT_THROW(hub.subscribe(-1, {}, {}), Error);
}

TEST(EventHub, IoErrorHasTwoNumbers) {
  DomainEvent event{{}, IoErrorEvent{}};
  EXPECT_TRUE(answers_to(event, VIR_DOMAIN_EVENT_ID_IO_ERROR));
  EXPECT_TRUE(answers_to(event, VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON));
  EXPECT_FALSE(answers_to(event, VIR_DOMAIN_EVENT_ID_LIFECYCLE));
}

config::Disk disk_at(const std::filesystem::path& path) {
  config::Disk disk;
  disk.source = path.string();
  disk.target = "vda";
  return disk;
}

std::string refusal_of(const config::Disk& disk) {
  try {
    open_disk_image(disk);
    return "";
  } catch (const Error& error) {
    return error.message();
  }
}

TEST(DiskImage, ErrorsNameTheComponentThatFails) {
  Directory directory;
  EXPECT_NE(refusal_of(disk_at(directory / "no/such/disk.img")).find("/no': No such file or directory"),
            std::string::npos);
  std::ofstream(directory / "file") << "x";
  EXPECT_NE(refusal_of(disk_at(directory / "file/disk.img")).find("file' is not a directory"),
            std::string::npos);
  EXPECT_NE(refusal_of(disk_at(directory / "")).find("Is a directory"), std::string::npos);
  ::mkfifo((directory / "fifo").c_str(), 0600);
  EXPECT_NE(refusal_of(disk_at(directory / "fifo")).find("neither a regular file"), std::string::npos);
  config::Disk block = disk_at(directory / "file");
  block.source_type = config::DiskSourceType::block;
  EXPECT_NE(refusal_of(block).find("is not a block device; use <disk type='file'>"), std::string::npos);
}

TEST(DiskImage, AFileSystemWithoutDirectInputAndOutputIsNamed) {
  config::Disk disk = disk_at("/proc/version");  // a regular file that O_DIRECT cannot open
  disk.read_only = true;
  disk.driver.cache = config::DiskCache::none;
  EXPECT_NE(refusal_of(disk).find("has no direct I/O"), std::string::npos) << refusal_of(disk);
}

// T32: what a guest writes into its raw disk never makes it anything else.
TEST(DiskImage, RawStaysRawWithAForeignHeader) {
  Directory directory;
  std::ofstream(directory / "disk.img") << std::string("QFI\xfb\0\0\0\3", 8) + std::string(65528, '\0');
  DiskImage image = open_disk_image(disk_at(directory / "disk.img"));
  EXPECT_TRUE(image.file);
  EXPECT_EQ(measure_image((directory / "disk.img").string(), config::DiskFormat::raw).capacity, 65536u);
}

TEST(CharacterFile, PseudoTerminalIsRawAndPrivate) {
  PseudoTerminal terminal = open_pseudo_terminal();
  pollfd nobody{terminal.master.get(), 0, 0};
  ASSERT_EQ(::poll(&nobody, 1, 0), 1);
  EXPECT_NE(nobody.revents & POLLHUP, 0);
  vmm::FileDescriptor slave = open_slave(terminal.path);
  struct stat status{};
  ASSERT_EQ(::fstat(slave.get(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  ASSERT_EQ(::write(slave.get(), "a\n", 2), 2);
  char text[8];
  ASSERT_EQ(::read(terminal.master.get(), text, sizeof(text)), 2);
  EXPECT_EQ(text[1], '\n');
  EXPECT_THROW(open_slave("/etc/passwd"), Error);
}

// T19, T20
TEST(CharacterFile, OutputFilesAreOurOwn) {
  Directory directory;
  ::symlink("/etc/passwd", (directory / "link").c_str());
  EXPECT_THROW(open_output_file((directory / "link").string(), true), Error);
  open_output_file((directory / "log").string(), true);
  struct stat status{};
  ASSERT_EQ(::stat((directory / "log").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

// A hostile worker's page.
TEST(CountersReader, TakesNothingForGranted) {
  vmm::FileDescriptor page(::memfd_create("page", MFD_CLOEXEC));
  EXPECT_THROW(CountersReader(page.duplicate()), Error);
  vmm::CountersPage content{};
  content.magic = vmm::kCountersMagic;
  content.version = vmm::kCountersVersion;
  content.size = sizeof(content);
  content.disks[1].flush_requests = 5;
  content.disks[1].owner = vmm::counters_owner("virtio-disk7");
  content.vcpus[2].thread_id = 99;
  ASSERT_EQ(::pwrite(page.get(), &content, sizeof(content), 0), static_cast<ssize_t>(sizeof(content)));
  CountersReader reader(page.duplicate());
  EXPECT_EQ(reader.disk("virtio-disk7").flush_requests, 5u);
  EXPECT_EQ(reader.vcpu_thread(2), 99u);
  EXPECT_EQ(reader.disk("virtio-disk0").flush_requests, 0u);
  EXPECT_EQ(reader.vcpu_thread(~std::size_t{0}), 0u);
  ASSERT_EQ(::ftruncate(page.get(), 64), 0);
  EXPECT_EQ(reader.disk("virtio-disk7").flush_requests, 0u);
}

TEST(ClockOffset, ZonesOfTheHost) {
  config::Clock clock;
  EXPECT_EQ(clock_offset_seconds(clock, 0), 0);
  clock.offset = config::ClockOffset::variable;
  clock.adjustment_seconds = -5;
  EXPECT_EQ(clock_offset_seconds(clock, 0), -5);
  clock.offset = config::ClockOffset::absolute;
  clock.start_seconds = 100;
  EXPECT_EQ(clock_offset_seconds(clock, 1700000000), 100 - 1700000000);
  clock.offset = config::ClockOffset::timezone;
  clock.timezone = "../../etc/passwd";
  EXPECT_THROW(clock_offset_seconds(clock, 0), Error);
  clock.timezone = "No/Where";
  EXPECT_THROW(clock_offset_seconds(clock, 0), Error);
  if (!std::filesystem::exists("/usr/share/zoneinfo/Europe/Berlin")) GTEST_SKIP() << "no tz database";
  clock.timezone = "Europe/Berlin";
  EXPECT_EQ(clock_offset_seconds(clock, 1700000000), 3600);  // November 2023
  EXPECT_EQ(clock_offset_seconds(clock, 1690000000), 7200);  // July 2023
}

TEST(WorkerProcess, FindsOnlyTheVeryProcess) {
  vmm::FileDescriptor none(::open("/dev/null", O_RDWR | O_CLOEXEC));
  WorkerProcess process = launch_worker({.program = "/bin/sleep", .control = &none});
  // sleep refuses its arguments, but until it is waited for it is there.
  EXPECT_TRUE(find_worker(process.pid, process.start_time));
  EXPECT_FALSE(find_worker(process.pid, process.start_time + 1));
  EXPECT_FALSE(find_worker(-1, 0));
  process.kill();
  siginfo_t information{};
  EXPECT_EQ(::waitid(P_PIDFD, static_cast<id_t>(process.pidfd.get()), &information, WEXITED), 0);
  EXPECT_EQ(process_cpu_time(process.pid), 0u);
  EXPECT_THROW(launch_worker({.program = "/no/such/worker", .control = &none}), Error);
}

}  // namespace
}  // namespace warren::driver::domain
