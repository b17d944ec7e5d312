// A driver in a directory of its own, with fake workers, for the tests of this folder.
#pragma once

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "driver/domain/local_driver.h"

namespace warren::driver::domain {

inline constexpr const char* kTestUuid = "c7a5fdbd-edaf-4455-926a-d65c16db1809";

class DriverFixture : public ::testing::Test {
 protected:
  DriverFixture() {
    char name[] = "/tmp/warren-domain-XXXXXX";
    root_ = ::mkdtemp(name);
    std::ofstream(root_ / "kernel") << "kernel";
    std::ofstream(root_ / "disk.img") << std::string(65536, 'x');
    start_daemon();
  }
  // Events still come while workers end, and what listens to them belongs to the test.
  void TearDown() override {
    end_workers();
    driver_.reset();
    loop_.reset();
  }
  ~DriverFixture() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  static config::HostFacts facts() {
    config::HostFacts facts;
    for (std::uint32_t leaf : {0u, 1u, 7u, 0x80000000u, 0x80000001u, 0x80000008u}) {
      facts.host_cpuid.push_back(config::read_cpuid(leaf, 0));
    }
    facts.kvm_cpuid = facts.host_cpuid;
    facts.kvm = true;
    facts.kvm_maximum_vcpus = 255;
    facts.memory_kib = 8 << 20;
    facts.emulator = FAKE_WORKER_PATH;
    return facts;
  }

  DriverSettings settings() {
    DriverSettings settings;
    settings.configuration_directory = root_ / "etc";
    settings.runtime_directory = root_ / "run";
    settings.log_directory = root_ / "log";
    settings.dump_directory = root_ / "dump";
    settings.worker_program = FAKE_WORKER_PATH;
    settings.worker_sandbox = false;
    settings.vhost_vsock = root_ / "vhost-vsock";  // not there, unless a test makes it
    settings.volumes = volumes_;
    settings.log = [this](LogPriority, std::string_view text) { log_ += std::string(text) + "\n"; };
    return settings;
  }

  // As after a restart of the daemon: nothing of the old one is left but its files and its workers.
  void start_daemon() {
    driver_.reset();
    loop_ = std::make_unique<asio::io_context>();
    events_.clear();
    driver_ = std::make_unique<LocalDriver>(*loop_, settings(), facts());
    driver_->environment().command_deadline = std::chrono::milliseconds(1500);
    driver_->environment().quit_deadline = std::chrono::milliseconds(300);
    if (prepare_) prepare_(driver_->environment());
    for (int id : {VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_ID_REBOOT,
                   VIR_DOMAIN_EVENT_ID_CONTROL_ERROR, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE}) {
      driver_->subscribe(id, {},
                         [this, id](const DomainEvent& event) { events_.push_back(describe(id, event)); });
    }
    ASSERT_EQ(wait<void>([&](auto done) { driver_->load(std::move(done)); }), "");
  }

  static std::string describe(int id, const DomainEvent& event) {
    if (const auto* lifecycle = std::get_if<LifecycleEvent>(&event.body)) {
      return fmt::format("{}:{}/{}", event.domain.name, lifecycle->event, lifecycle->detail);
    }
    return fmt::format("{}:id{}", event.domain.name, id);
  }
  static std::string lifecycle(int event, int detail, const std::string& name = "test") {
    return fmt::format("{}:{}/{}", name, event, detail);
  }

  template <typename Condition>
  bool run_until(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop_->restart();
      loop_->run_for(std::chrono::milliseconds(5));
    }
    loop_->restart();
    loop_->poll();
    return true;
  }

  // Runs a call to its end. Returns its error's text, or nothing; the result is in `out`.
  template <typename T, typename Call, typename Out = std::conditional_t<std::is_void_v<T>, char, T>>
  std::string wait(Call call, Out* out = nullptr) {
    std::optional<std::expected<T, Error>> answer;
    call(Completion<T>([&answer](std::expected<T, Error> result) { answer.emplace(std::move(result)); }));
    if (!run_until([&] { return answer.has_value(); })) return "no answer";
    if (!*answer) {
      last_code_ = answer->error().code();
      return answer->error().message();
    }
    if constexpr (!std::is_void_v<T>) {
      if (out != nullptr) *out = std::move(**answer);
    }
    return "";
  }

  std::string xml(const std::string& name = "test", const std::string& uuid = kTestUuid,
                  const std::string& extra = "", const std::string& words = "") const {
    return fmt::format(R"(<domain type='kvm'><name>{}</name><uuid>{}</uuid><memory unit='MiB'>128</memory>
<vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type><kernel>{}</kernel><cmdline>{}</cmdline></os>{}
<devices><disk type='file' device='disk'><source file='{}'/><target dev='vda' bus='virtio'/></disk>
<serial type='pty'/></devices></domain>)",
                       name, uuid, (root_ / "kernel").string(), words.empty() ? "quiet" : words, extra,
                       (root_ / "disk.img").string());
  }

  std::string define(const std::string& text) {
    return wait<DomainHandle>([&](auto done) { driver_->define(caller_, text, 0, std::move(done)); });
  }
  std::string create(const std::string& text, unsigned int flags = 0) {
    return wait<DomainHandle>(
        [&](auto done) { driver_->create_from_xml(caller_, text, flags, std::move(done)); });
  }
  std::string start(const Uuid& uuid = test_uuid(), unsigned int flags = 0) {
    return wait<DomainHandle>([&](auto done) { driver_->create(caller_, uuid, flags, std::move(done)); });
  }
  std::string destroy(const Uuid& uuid = test_uuid(), unsigned int flags = 0) {
    return wait<void>([&](auto done) { driver_->destroy(caller_, uuid, flags, std::move(done)); });
  }
  std::string undefine(const Uuid& uuid = test_uuid()) {
    return wait<void>([&](auto done) { driver_->undefine(caller_, uuid, 0, std::move(done)); });
  }
  std::string suspend() {
    return wait<void>([&](auto done) { driver_->suspend(caller_, test_uuid(), std::move(done)); });
  }
  std::string resume() {
    return wait<void>([&](auto done) { driver_->resume(caller_, test_uuid(), std::move(done)); });
  }

  static Uuid test_uuid() { return *Uuid::parse(kTestUuid); }
  DomainState state(const Uuid& uuid = test_uuid()) { return driver_->state(caller_, uuid, 0); }
  pid_t worker_pid(const Uuid& uuid = test_uuid()) {
    return driver_->environment().table.by_uuid(uuid)->snapshot()->pid;
  }
  // Tells the guest, through its console.
  void tell_guest(const std::string& line) {
    auto stream = driver_->open_console(caller_, test_uuid(), std::nullopt, VIR_DOMAIN_CONSOLE_FORCE);
    std::string text = line + "\n";
    ASSERT_EQ(stream->write_some(std::as_bytes(std::span(text))), text.size());
  }
  bool wait_for_event(const std::string& event) {
    return run_until([&] { return std::find(events_.begin(), events_.end(), event) != events_.end(); });
  }
  bool wait_for_state(int wanted) {
    return run_until([&] { return state().state == wanted; });
  }
  bool is_shut_off() { return state().state == VIR_DOMAIN_SHUTOFF; }

  static bool is_gone(pid_t pid) {
    struct stat status{};
    return ::stat(fmt::format("/proc/{}", pid).c_str(), &status) != 0;
  }

  void end_workers() {
    if (!driver_) return;
    for (const DomainHandle& domain : driver_->list(caller_, VIR_CONNECT_LIST_DOMAINS_ACTIVE))
      destroy(domain.uuid);
  }

  std::filesystem::path root_;
  VolumeSources* volumes_ = nullptr;           // of the next daemon
  std::function<void(Environment&)> prepare_;  // a test's own, of every daemon before it looks at anything
  std::unique_ptr<asio::io_context> loop_;
  std::unique_ptr<LocalDriver> driver_;
  std::vector<std::string> events_;
  std::string log_;
  Caller caller_{.user_id = 0, .group_id = 0, .process_id = 42, .read_only = false, .connection_id = 7};
  int last_code_ = 0;
};

}  // namespace warren::driver::domain
