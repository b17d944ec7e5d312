// The machine against the host's KVM, with kernels of a few instructions. Skipped, with the reason, where
// there is no /dev/kvm.
#include "vmm-core/machine/machine.h"

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm-core/machine/tiny_kernel.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

using namespace std::chrono_literals;

class MachineTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/kvm", R_OK | W_OK) != 0) GTEST_SKIP() << "/dev/kvm cannot be opened here";
  }
  void TearDown() override { machine_.reset(); }

  MachineConfiguration configuration(FileDescriptor kernel) {
    MachineConfiguration made;
    made.name = "test";
    made.kvm = FileDescriptor(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
    made.memory_bytes = 4 * kMebibyte;
    made.boot.kernel = std::move(kernel);
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    serial_ = FileDescriptor(ends[0]);
    made.character_backends.push_back(std::make_unique<DescriptorBackend>(
        DescriptorBackend::Kind::stream, FileDescriptor(ends[1]), FileDescriptor(), FileDescriptor()));
    made.serials.push_back({"serial0", 0, made.character_backends[0].get()});
    return made;
  }
  void make(MachineConfiguration configuration) {
    machine_.emplace(std::move(configuration), [this](GuestEvent event) {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
      changed_.notify_all();
    });
  }
  void make(std::initializer_list<std::uint8_t> code) { make(configuration(make_tiny_kernel(code))); }

  std::optional<GuestEvent> next_event(std::chrono::milliseconds patience = 5000ms) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [this] { return !events_.empty(); })) return std::nullopt;
    GuestEvent event = std::move(events_.front());
    events_.erase(events_.begin());
    return event;
  }
  template <typename Expected>
  std::optional<Expected> expect_event() {
    const auto event = next_event();
    EXPECT_TRUE(event.has_value()) << "no event";
    if (!event) return std::nullopt;
    EXPECT_TRUE(std::holds_alternative<Expected>(*event)) << "event " << event->index();
    if (!std::holds_alternative<Expected>(*event)) return std::nullopt;
    return std::get<Expected>(*event);
  }

  // What the guest wrote to its serial port, at least `size` bytes or what came in time.
  std::string output(std::size_t size) {
    std::string text;
    pollfd ready{.fd = serial_.get(), .events = POLLIN};
    while (text.size() < size && ::poll(&ready, 1, 5000) > 0) {
      std::array<char, 64> chunk;
      const ssize_t got = ::read(serial_.get(), chunk.data(), chunk.size());
      if (got <= 0) break;
      text.append(chunk.data(), static_cast<std::size_t>(got));
    }
    return text;
  }
  std::uint32_t counter() { return machine_->memory().read_object<std::uint32_t>(kCounter).value_or(0); }
  // True when the counter changes.
  bool is_counting() {
    const std::uint32_t before = counter();
    for (int i = 0; i < 500; ++i) {
      if (counter() != before) return true;
      std::this_thread::sleep_for(2ms);
    }
    return false;
  }

  static constexpr GuestAddress kCounter{0x200000};
  FileDescriptor serial_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<GuestEvent> events_;
  std::optional<Machine> machine_;
};

// 1: lock inc dword [0x200000]; jmp 1
#define COUNT_FOR_EVER 0xf0, 0xff, 0x05, 0x00, 0x00, 0x20, 0x00, 0xeb, 0xf7
// mov dx,0x3f8; mov al,C; out dx,al
#define PRINT(c) 0x66, 0xba, 0xf8, 0x03, 0xb0, (c), 0xee
// jmp $
#define STAY 0xeb, 0xfe

TEST_F(MachineTest, TheGuestShutsDownThroughAcpi) {
  // …; mov dx,0x604; mov ax,0x3400 (S5, SLP_EN); out dx,ax
  make({PRINT('x'), 0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x34, 0x66, 0xef, STAY});
  machine_->start(false);
  EXPECT_EQ(output(1), "x");
  expect_event<GuestShutDown>();
  EXPECT_FALSE(next_event(50ms)) << "one event is enough";
}

// Sleep states (ACPI 6.5 §16.1): a guest that enters one, and what it is told when it goes on.
class SleepTest : public MachineTest {
 protected:
  // mov dx,0x604; mov ax,SLP_TYP << 10 | SLP_EN; out dx,ax
#define SLEEP(type) 0x66, 0xba, 0x04, 0x06, 0x66, 0xb8, 0x00, 0x20 | (type) << 2, 0x66, 0xef, STAY
  void make_sleeper(std::initializer_list<std::uint8_t> code) {
    auto made = configuration(make_tiny_kernel(code));
    made.sleep_states = {.s3 = true, .s4 = true};
    made.may_wake = [this] { ++may_wake_; };
    make(std::move(made));
  }
  void fall_asleep() {
    machine_->start(false);
    EXPECT_EQ(output(1), "x");
    expect_event<GuestSuspended>();
    machine_->sleep();
  }
  void set_waking_vectors(std::uint32_t real_mode, std::uint64_t protected_mode) {
    std::uint64_t facs = kAcpiTables.value;
    while (machine_->memory().read_object<std::uint32_t>({facs}) != 0x53434146u) facs += 64;
    ASSERT_TRUE(machine_->memory().write_object({facs + 12}, real_mode));
    ASSERT_TRUE(machine_->memory().write_object({facs + 24}, protected_mode));
  }
  template <std::size_t size>
  void put_code(std::uint64_t address, const std::array<std::uint8_t, size>& code) {
    ASSERT_TRUE(machine_->memory().write({address}, std::as_bytes(std::span(code))));
  }

  std::atomic<int> may_wake_ = 0;
};

TEST_F(SleepTest, AGuestGoesOnInRealModeWithItsMemory) {
  make_sleeper({PRINT('x'), SLEEP(3)});
  fall_asleep();
  EXPECT_FALSE(machine_->wakes());
  set_waking_vectors(0x8013, 0);
  // mov dx,0x600; in ax,dx; mov [0x9000],ax; mov dx,0x3f8; mov al,'w'; out dx,al; jmp $
  put_code(0x8013, std::array<std::uint8_t, 15>{0xba, 0x00, 0x06, 0xed, 0xa3, 0x00, 0x90, 0xba, 0xf8, 0x03,
                                                0xb0, 'w', 0xee, STAY});
  EXPECT_TRUE(machine_->press_power_button());
  EXPECT_EQ(may_wake_, 1);
  EXPECT_TRUE(machine_->wakes());
  EXPECT_TRUE(machine_->wake());
  EXPECT_EQ(output(1), "w");
  EXPECT_EQ(machine_->memory().read_object<std::uint16_t>({0x9000}), 0x8100) << "WAK_STS, PWRBTN_STS";
  EXPECT_FALSE(machine_->wakes());
}

TEST_F(SleepTest, AnExtendedVectorIsInProtectedMode) {
  make_sleeper({PRINT('x'), SLEEP(3)});
  fall_asleep();
  set_waking_vectors(0x8013, 0x180000);
  put_code(0x180000, std::array<std::uint8_t, 9>{PRINT('p'), STAY});
  EXPECT_TRUE(machine_->wake());
  EXPECT_EQ(output(1), "p");
}

// T30: what the guest left as its vector is anything; the machine then starts as from the beginning.
TEST_F(SleepTest, T30WithoutAVectorItBeginsAnew) {
  make_sleeper({PRINT('x'), SLEEP(3)});
  fall_asleep();
  for (const auto& [real, extended] : {std::pair<std::uint32_t, std::uint64_t>{0, 0},
                                       {0x100000, 0},
                                       {0xffffffff, 0},
                                       {0x8000, std::uint64_t{1} << 32},
                                       {0x8000, 0xfff00000}}) {
    set_waking_vectors(real, extended);
    EXPECT_FALSE(machine_->wake()) << real << " " << extended;
    EXPECT_EQ(output(1), "x");
    expect_event<GuestSuspended>();
    machine_->sleep();
  }
}

TEST_F(SleepTest, AGuestThatSleepsIsReset) {
  make_sleeper({PRINT('x'), SLEEP(3)});
  fall_asleep();
  machine_->reset();
  EXPECT_EQ(output(1), "x");
  expect_event<GuestSuspended>();
}

TEST_F(SleepTest, S4IsAShutdownThatSaysSo) {
  make_sleeper({PRINT('x'), SLEEP(4)});
  machine_->start(false);
  const auto ended = expect_event<GuestShutDown>();
  ASSERT_TRUE(ended);
  EXPECT_TRUE(ended->is_hibernation);
}

TEST_F(MachineTest, MemoryOfOthersThatFailsIsNotTheGuests) {
  make({COUNT_FOR_EVER});
  machine_->start(false);
  EXPECT_EQ(machine_->tell_memory_failure(reinterpret_cast<std::uintptr_t>(this), std::nullopt),
            Machine::MemoryFailure::not_of_the_guest);
  EXPECT_TRUE(is_counting());
  // It has no machine checks (CR4.MCE): it is to be reset, and gets another page for it.
  const auto page = reinterpret_cast<std::uintptr_t>(machine_->memory().regions()[0].host) + 0x300000;
  ASSERT_TRUE(machine_->memory().write_object<int>({0x300000}, 5));
  EXPECT_EQ(machine_->tell_memory_failure(page + 5, std::nullopt), Machine::MemoryFailure::not_taken);
  EXPECT_TRUE(is_counting()) << "it does not need the page";
  EXPECT_EQ(machine_->tell_memory_failure(page + 5, 0), Machine::MemoryFailure::not_taken);
  EXPECT_FALSE(is_counting());
  machine_->reset();
  EXPECT_TRUE(is_counting());
  EXPECT_EQ(machine_->memory().read_object<int>({0x300000}), 0);
}

TEST_F(MachineTest, AGuestIsToldOfItsMemoryByAMachineCheck) {
  if (kvm::System::open().machine_check_capabilities() == 0)
    GTEST_SKIP() << "this host's KVM has no machine checks";
  // mov eax,cr4; or eax,0x40; mov cr4,eax; …
  make({0x0f, 0x20, 0xe0, 0x0d, 0x40, 0x00, 0x00, 0x00, 0x0f, 0x22, 0xe0, COUNT_FOR_EVER});
  machine_->start(false);
  EXPECT_TRUE(is_counting());
  const auto page = reinterpret_cast<std::uintptr_t>(machine_->memory().regions()[0].host) + 0x300000;
  EXPECT_EQ(machine_->tell_memory_failure(page, 0), Machine::MemoryFailure::told);
  // Without an IDT the exception is its end.
  const auto crashed = expect_event<GuestCrashed>();
  ASSERT_TRUE(crashed);
  EXPECT_NE(crashed->reason.find("triple fault"), std::string::npos) << crashed->reason;
}

TEST_F(MachineTest, AResetRunsTheKernelAgain) {
  // …; mov dx,0xcf9; mov al,6; out dx,al
  make({PRINT('x'), 0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, STAY});
  machine_->start(false);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(output(1), "x");
    expect_event<GuestReset>();
    machine_->reset();
  }
  EXPECT_EQ(output(1), "x");
}

TEST_F(MachineTest, TheKeyboardControllerResets) {
  make({0xb0, 0xfe, 0xe6, 0x64, STAY});  // mov al,0xfe; out 0x64,al
  machine_->start(false);
  expect_event<GuestReset>();
}

TEST_F(MachineTest, AResetOfARunningGuestStartsOver) {
  make({PRINT('y'), COUNT_FOR_EVER});
  machine_->start(false);
  EXPECT_EQ(output(1), "y");
  EXPECT_TRUE(is_counting());
  machine_->reset();
  EXPECT_EQ(output(1), "y");
  EXPECT_TRUE(is_counting());
}

// T30: a crash has a reason and registers, and stops the machine.
TEST_F(MachineTest, T30TripleFaultsAreCrashes) {
  // lidt [esp] with an empty stack's zero limit would need RAM there; ud2 with the IDT a kernel starts with
  // is enough.
  make({0x0f, 0x0b});
  machine_->start(false);
  const auto crashed = expect_event<GuestCrashed>();
  ASSERT_TRUE(crashed);
  // The registers are those of the crash on Intel's processors; on AMD's KVM has reset the vCPU by then.
  EXPECT_EQ(crashed->reason.rfind("vCPU 0: triple fault; rip=0x", 0), 0U) << crashed->reason;
  machine_->reset();
  expect_event<GuestCrashed>();
}

TEST_F(MachineTest, PausedGuestsDoNotRun) {
  make({COUNT_FOR_EVER});
  machine_->start(true);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(counter(), 0U);
  machine_->resume();
  EXPECT_TRUE(is_counting());
  for (int i = 0; i < 20; ++i) {
    machine_->pause();
    const std::uint32_t stopped = counter();
    std::this_thread::sleep_for(5ms);
    EXPECT_EQ(counter(), stopped);
    machine_->resume();
    EXPECT_TRUE(is_counting());
  }
}

TEST_F(MachineTest, AResetKeepsAPausedMachinePaused) {
  make({COUNT_FOR_EVER});
  machine_->start(false);
  EXPECT_TRUE(is_counting());
  machine_->pause();
  machine_->reset();
  const std::uint32_t stopped = counter();
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(counter(), stopped);
  machine_->resume();
  EXPECT_TRUE(is_counting());
}

TEST_F(MachineTest, GuestTimeStandsStillWhilePaused) {
  {
    const auto system = kvm::System::open();
    const kvm::VirtualMachine vm(system);
    if (!kvm::Vcpu(system, vm, 0).rewind_time_stamp_counter(1000)) {
      GTEST_SKIP() << "this host's KVM does not offset the time stamp counter";
    }
  }
  // 1: rdtsc; mov [0x200000],eax; mov [0x200004],edx; jmp 1
  make({0x0f, 0x31, 0xa3, 0x00, 0x00, 0x20, 0x00, 0x89, 0x15, 0x04, 0x00, 0x20, 0x00, 0xeb, 0xf1});
  const auto time = [&] { return machine_->memory().read_object<std::uint64_t>(kCounter).value_or(0); };
  machine_->start(false);
  EXPECT_TRUE(is_counting());
  std::this_thread::sleep_for(20ms);
  machine_->pause();
  const std::uint64_t before = time();
  std::this_thread::sleep_for(500ms);
  machine_->resume();
  EXPECT_TRUE(is_counting());
  machine_->pause();
  // Half a second is at least 500 million cycles of any processor of today; what ran was a few milliseconds.
  EXPECT_GT(time(), before);
  EXPECT_LT(time() - before, 250'000'000U);
}

TEST_F(MachineTest, AllVcpusStopAndEnd) {
  auto made = configuration(make_tiny_kernel({COUNT_FOR_EVER}));
  made.cpu.vcpus = made.cpu.sockets = 4;
  auto page = std::make_unique<CountersPage>();
  made.counters = page.get();
  std::atomic<int> started{0};
  made.thread_started = [&](ThreadKind) { ++started; };
  make(std::move(made));
  machine_->start(false);
  EXPECT_TRUE(is_counting());
  machine_->pause();
  EXPECT_EQ(started, 5) << "four vCPUs and the character thread";
  EXPECT_NE(page->vcpus[3].thread_id, 0U);
  EXPECT_GT(page->vcpus[0].exits, 0U);
  InspectNode node;
  machine_->inspect(node);
  EXPECT_GE(node.children().size(), 4U);
  machine_->resume();
  machine_.reset();
}

// T24, T30: a vCPU comes, is started by the guest as on a PC (SDM 3A §9.4.4), is let go of and comes back.
TEST_F(MachineTest, VcpusComeAndGo) {
  constexpr GuestAddress kStartFlag{0x200000}, kEjectFlag{0x200004}, kSecondCounter{0x9000};
  // clang-format off: one instruction a line
  auto made = configuration(make_tiny_kernel({
      0x83, 0x3d, 0x00, 0x00, 0x20, 0x00, 0x00, 0x74, 0xf7,        // 1: cmp dword [0x200000],0; je 1
      0xc7, 0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0x00, 0x00,  // the local APIC is enabled
      0xc7, 0x05, 0x10, 0x03, 0xe0, 0xfe, 0x00, 0x00, 0x00, 0x01,  // ICR: to APIC 1
      0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x00, 0x00,  // INIT
      0xb9, 0x00, 0x00, 0x01, 0x00, 0xe2, 0xfe,                    // mov ecx,0x10000; loop $
      0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x08, 0x46, 0x00, 0x00,  // start at 0x8000
      0x83, 0x3d, 0x04, 0x00, 0x20, 0x00, 0x00, 0x74, 0xf7,        // 2: cmp dword [0x200004],0; je 2
      0xc7, 0x05, 0x14, 0x00, 0xc2, 0xfe, 0x01, 0x00, 0x00, 0x00,  // eject vCPU 1
      COUNT_FOR_EVER,
  }));
  // clang-format on
  made.cpu.vcpus = made.cpu.sockets = 2;
  made.cpu.hot_pluggable = made.cpu.absent = {1};
  auto page = std::make_unique<CountersPage>();
  made.counters = page.get();
  std::atomic<std::uint32_t> released{0};
  made.vcpu_released = [&](std::uint32_t vcpu) { released = vcpu; };
  make(std::move(made));
  // In real mode: 1: lock inc word [0x9000]; jmp 1
  constexpr std::array<std::uint8_t, 7> kSecond = {0xf0, 0xff, 0x06, 0x00, 0x90, 0xeb, 0xf9};
  const auto set = [&](GuestAddress where, std::uint32_t value) {
    ASSERT_TRUE(machine_->memory().write(where, std::as_bytes(std::span(&value, 1))));
  };
  const auto second = [&] {
    return machine_->memory().read_object<std::uint16_t>(kSecondCounter).value_or(0);
  };
  const auto second_counts = [&] {
    const auto before = second();
    for (int i = 0; i < 500 && second() == before; ++i) std::this_thread::sleep_for(2ms);
    return second() != before;
  };
  machine_->start(false);
  using Vcpus = std::vector<std::uint32_t>;
  EXPECT_EQ(machine_->present_vcpus(), Vcpus{0});
  EXPECT_EQ(page->vcpus[1].thread_id, 0U);
  EXPECT_THROW(machine_->request_vcpu_removal({1}), Error) << "it is not there";
  EXPECT_THROW(machine_->plug_vcpus({1, 0}), Error) << "0 is";
  EXPECT_EQ(machine_->present_vcpus(), Vcpus{0}) << "all or none";
  machine_->plug_vcpus({1});
  EXPECT_EQ(machine_->present_vcpus(), (Vcpus{0, 1}));
  EXPECT_NE(page->vcpus[1].thread_id, 0U);
  EXPECT_EQ(machine_->registers().size(), 2U);
  EXPECT_THROW(machine_->plug_vcpus({1}), Error);
  ASSERT_TRUE(machine_->memory().write(GuestAddress{0x8000}, std::as_bytes(std::span(kSecond))));
  EXPECT_EQ(second(), 0U) << "it waits to be started";
  set(kStartFlag, 1);
  EXPECT_TRUE(second_counts());
  machine_->pause();
  machine_->resume();
  EXPECT_TRUE(second_counts());

  EXPECT_FALSE(machine_->remove_vcpu(1)) << "the guest has it";
  machine_->request_vcpu_removal({1});
  set(kEjectFlag, 1);
  for (int i = 0; i < 500 && released == 0; ++i) std::this_thread::sleep_for(2ms);
  ASSERT_EQ(released, 1U);
  EXPECT_TRUE(machine_->remove_vcpu(1));
  EXPECT_FALSE(machine_->remove_vcpu(1));
  EXPECT_EQ(machine_->present_vcpus(), Vcpus{0});
  EXPECT_EQ(page->vcpus[1].thread_id, 0U);
  EXPECT_FALSE(second_counts());
  EXPECT_TRUE(is_counting()) << "the first goes on";

  machine_->pause();
  machine_->plug_vcpus({1});
  machine_->resume();
  set(kStartFlag, 0);
  set(kEjectFlag, 0);
  machine_->reset();
  EXPECT_EQ(machine_->present_vcpus(), (Vcpus{0, 1})) << "what is there stays there over a reset";
  set(kStartFlag, 1);
  EXPECT_TRUE(second_counts());
  machine_.reset();  // it uses what is above
}

// A guest that waits for a word in RAM, then ejects the module in slot 1.
TEST_F(MachineTest, MemoryModulesComeAndGo) {
  // clang-format off
  auto made = configuration(make_tiny_kernel({
      0x83, 0x3d, 0x04, 0x00, 0x20, 0x00, 0x00, 0x74, 0xf7,        // 1: cmp dword [0x200004],0; je 1
      0xc7, 0x05, 0x44, 0x00, 0xc3, 0xfe, 0x01, 0x00, 0x00, 0x00,  // eject
      COUNT_FOR_EVER,
  }));
  // clang-format on
  made.hot_plug_bytes = kGibibyte;
  made.memory_slots = 2;
  std::atomic<std::uint32_t> released{0};
  made.dimm_released = [&](std::uint32_t slot) { released = slot; };
  const auto dimm = [](const char* id, std::uint32_t slot) {
    return DimmConfiguration{
        .memory = {.id = id, .options = {.size = 64 * kMebibyte}, .changed = {}}, .slot = slot, .node = 0};
  };
  made.dimms.push_back(dimm("dimm0", 0));
  make(std::move(made));
  machine_->start(false);
  EXPECT_EQ(machine_->memory().size(), 68 * kMebibyte);
  EXPECT_TRUE(machine_->memory().contains(GuestAddress{kHighRamStart}, 64 * kMebibyte));
  EXPECT_THROW(machine_->plug_dimm(dimm("other", 0)), Error) << "the slot is taken";
  EXPECT_THROW(machine_->plug_dimm(dimm("dimm0", 1)), Error) << "the name is";
  EXPECT_THROW(machine_->plug_dimm(dimm("dimm2", 2)), Error) << "there is no such slot";
  EXPECT_THROW(machine_->request_dimm_removal("dimm1"), Error);
  EXPECT_EQ(machine_->device_memories().size(), 1U);
  machine_->plug_dimm(dimm("dimm1", 1));
  EXPECT_EQ(machine_->dimm_in(1), "dimm1");
  const GuestAddress place = machine_->device_memories().at("dimm1")->address();
  EXPECT_TRUE(machine_->memory().write_object(place, 7));
  EXPECT_EQ(machine_->remove_dimm(1), "") << "the guest has it";
  machine_->request_dimm_removal("dimm1");
  ASSERT_TRUE(machine_->memory().write_object(GuestAddress{kCounter.value + 4}, 1));
  for (int i = 0; i < 500 && released == 0; ++i) std::this_thread::sleep_for(2ms);
  ASSERT_EQ(released, 1U);
  EXPECT_EQ(machine_->remove_dimm(1), "dimm1");
  EXPECT_EQ(machine_->remove_dimm(1), "");
  EXPECT_FALSE(machine_->memory().contains(place, 1));
  EXPECT_TRUE(is_counting()) << "the guest goes on";
  machine_->pause();
  machine_->plug_dimm(dimm("dimm1", 1));
  machine_->resume();
  machine_->reset();
  EXPECT_EQ(machine_->dimm_in(1), "dimm1") << "what is there stays there over a reset";
  machine_.reset();  // it uses what is above
}

TEST_F(MachineTest, RoomForMemoryWithoutSlotsIsRefused) {
  for (const auto& [bytes, slots] :
       {std::pair(kGibibyte, 0U), std::pair(std::uint64_t{0}, 1U), std::pair(kGibibyte + 1, 1U),
        std::pair(kGibibyte, 129U), std::pair(std::uint64_t{1} << 47, 1U)}) {
    auto made = configuration(make_tiny_kernel({STAY}));
    made.hot_plug_bytes = bytes;
    made.memory_slots = slots;
    EXPECT_THROW(make(std::move(made)), Error) << bytes << " " << slots;
  }
}

TEST_F(MachineTest, ThePowerButtonOfAGuestThatDoesNotLookIsNoEvent) {
  make({COUNT_FOR_EVER});
  machine_->start(false);
  EXPECT_FALSE(machine_->press_power_button());
  EXPECT_FALSE(next_event(20ms));
}

TEST_F(MachineTest, WhatCannotBeBuiltIsRefusedByName) {
  auto made = configuration(make_tiny_kernel({STAY}));
  made.memory_bytes = 12345;
  EXPECT_THROW(make(std::move(made)), Error);
  made = configuration(make_tiny_kernel({STAY}));
  made.devices.push_back({"disk0", {.bus = 3, .slot = 0}, {}});
  try {
    make(std::move(made));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).rfind("disk0: there is no slot 0 on PCI bus 3", 0), 0U)
        << error.what();
  }
  FileDescriptor nonsense(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  make(configuration(std::move(nonsense)));
  EXPECT_THROW(machine_->start(false), Error);
}

// T24: nothing is left of a machine.
TEST_F(MachineTest, T24MachinesLeaveNoDescriptors) {
  const auto highest = [] { return FileDescriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)).get(); };
  const int before = highest();
  for (int i = 0; i < 10; ++i) {
    make({COUNT_FOR_EVER});
    machine_->start(false);
    machine_.reset();
    serial_.reset();
  }
  EXPECT_EQ(highest(), before);
}

}  // namespace
}  // namespace warren::vmm::machine
