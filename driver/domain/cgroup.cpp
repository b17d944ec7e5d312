#include "driver/domain/cgroup.h"

#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "driver/cage/cage.h"
#include "driver/contract/error.h"
#include "driver/domain/worker_threads.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

namespace {

namespace fs = std::filesystem;

// 0, or the errno.
int try_write(const fs::path& file, const std::string& text) {
  const vmm::FileDescriptor opened(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!opened || ::write(opened.get(), text.data(), text.size()) < 0) return errno;
  return 0;
}

void write(const fs::path& file, const std::string& text) {
  if (const int failed = try_write(file, text); failed != 0)
    throw system_error(failed, fmt::format("write '{}' to '{}'", text, file.string()));
}

std::string read_line(const fs::path& file) {
  std::string line;
  std::getline(std::ifstream(file), line);
  return line;
}

std::set<std::string> words(const std::string& line) {
  std::istringstream stream(line);
  return {std::istream_iterator<std::string>(stream), {}};
}

// Where the v2 hierarchy is mounted (proc(5), mountinfo: field 5, and the type after " - ").
fs::path find_mount() {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos || !std::string_view(line).substr(dash + 3).starts_with("cgroup2 "))
      continue;
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 5; ++i) fields >> field;
    return field;
  }
  return {};
}

std::string own_group() {
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);)
    if (line.starts_with("0::")) return line.substr(3);
  return {};
}

bool is_delegated(const fs::path& group) {
  char value = 0;
  for (const char* name : {"trusted.delegate", "user.delegate"})
    if (::getxattr(group.c_str(), name, &value, 1) == 1 && value == '1') return true;
  return false;
}

std::string cpu_max(const config::CpuBandwidth& bandwidth) {
  const std::uint64_t period = bandwidth.period_us.value_or(100'000);
  const std::int64_t quota = bandwidth.quota_us.value_or(-1);
  return quota > 0 ? fmt::format("{} {}", quota, period) : fmt::format("max {}", period);
}

std::string limit(const std::optional<std::uint64_t>& kib) {
  std::uint64_t bytes = 0;
  if (!kib || __builtin_mul_overflow(*kib, std::uint64_t{1024}, &bytes)) return "max";
  return fmt::format("{}", bytes);
}

std::string device_number(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) throw system_error(errno, fmt::format("find '{}'", path));
  if (!S_ISBLK(status.st_mode)) throw invalid_argument(fmt::format("device '{}' must be block device", path));
  return fmt::format("{}:{}", major(status.st_rdev), minor(status.st_rdev));
}

// Lines of a file "MAJOR:MINOR …" (cgroup-v2.rst, "IO Interface Files"): those of devices that are not in
// `kept` get the value that is none.
void lift(const fs::path& file, const std::set<std::string>& kept, std::string_view none) {
  std::vector<std::string> gone;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    std::string device = line.substr(0, line.find(' '));
    if (device.find(':') != std::string::npos && !kept.contains(device)) gone.push_back(std::move(device));
  }
  for (const std::string& device : gone) write(file, fmt::format("{} {}", device, none));
}

// The kernel tells of changes in the events file (cgroup-v2.rst, "[Un]populated Notification").
void wait_until_empty(const fs::path& group, std::chrono::milliseconds patience) noexcept {
  const vmm::FileDescriptor events(::open((group / "cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    char text[256] = {};
    if (::pread(events.get(), text, sizeof(text) - 1, 0) <= 0) return;
    if (std::string_view(text).find("populated 1") == std::string_view::npos) return;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd changed{.fd = events.get(), .events = POLLPRI, .revents = 0};
    if (left.count() <= 0 || ::poll(&changed, 1, static_cast<int>(left.count())) <= 0) return;
  }
}

}  // namespace

CgroupTree::CgroupTree(fs::path root) : root_(std::move(root)) {
  std::error_code failed;
  fs::create_directory(root_, failed);
  for (const std::string& controller : words(read_line(root_ / "cgroup.controllers"))) {
    if (try_write(root_ / "cgroup.subtree_control", "+" + controller) == 0) controllers_.insert(controller);
  }
  if (controllers_.empty()) root_.clear();
}

CgroupTree CgroupTree::find(const fs::path& runtime_directory) {
  const fs::path mount = find_mount();
  const std::string own = own_group();
  if (mount.empty() || own.empty()) return {};
  if (own != "/") {
    const fs::path group = mount / own.substr(1);
    if (!is_delegated(group) || read_line(group / "cgroup.controllers").empty()) return {};
    // A group whose controllers are its children's has no process of its own.
    std::error_code failed;
    fs::create_directory(group / "daemon", failed);
    if (try_write(group / "daemon/cgroup.procs", std::to_string(::getpid())) != 0) return {};
    return CgroupTree(group);
  }
  // Nobody manages the tree: a group of our own, if we may.
  if (::geteuid() != 0 || fs::exists("/run/systemd/system")) return {};
  const auto controllers = words(read_line(mount / "cgroup.controllers"));
  if (controllers.empty()) return {};
  for (const std::string& controller : controllers)
    (void)try_write(mount / "cgroup.subtree_control", "+" + controller);
  std::string name = "warren";
  if (runtime_directory != "/run/warren") name += runtime_directory.string();
  std::replace(name.begin(), name.end(), '/', '-');
  CgroupTree tree(mount / name);
  tree.is_own_ = true;
  return tree;
}

void CgroupTree::remove_if_empty() const noexcept {
  if (is_own_) ::rmdir(root_.c_str());
}

DomainCgroup::DomainCgroup(const CgroupTree& tree, const std::string& name)
    : tree_(tree), group_(tree.root().empty() ? fs::path() : tree.root() / ("domain-" + name)) {}

void DomainCgroup::enter(pid_t worker) const {
  if (group_.empty()) return;
  std::error_code failed;
  fs::create_directory(group_, failed);
  write(group_ / "cgroup.procs", std::to_string(worker));
  // More than any machine has threads: a program that was taken over makes no processes without end.
  (void)try_write(group_ / "pids.max", "4096");
}

void DomainCgroup::join(pid_t process) const {
  if (!group_.empty()) write(group_ / "cgroup.procs", std::to_string(process));
}

void DomainCgroup::remove() const noexcept {
  if (group_.empty()) return;
  std::error_code ignored;
  if (!fs::exists(group_, ignored)) return;
  // A worker's processes end one after the other, and a storage daemon puts its image in order first.
  wait_until_empty(group_, cage::kTimeToEnd + std::chrono::seconds(1));
  (void)try_write(group_ / "cgroup.kill", "1");
  wait_until_empty(group_, std::chrono::seconds(5));
  std::vector<fs::path> groups;
  {
    // Closed again before the group goes.
    fs::directory_iterator entries(group_, ignored);
    if (ignored) return;
    for (const auto& entry : entries)
      if (entry.is_directory(ignored)) groups.push_back(entry.path());
  }
  // The kernel lets go of the last thread of a group, and of what was below a group, a moment after they have
  // gone, and says nothing of it.
  constexpr int kAttempts = 250;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    for (const fs::path& group : groups) ::rmdir(group.c_str());
    if (::rmdir(group_.c_str()) == 0 || errno != EBUSY) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void DomainCgroup::apply(pid_t worker, const config::DomainDefinition& definition) const {
  if (group_.empty()) return;
  if (tree_.has("cpu")) {
    write(group_ / "cpu.weight", fmt::format("{}", definition.cpu_tuning.shares.value_or(100)));
    write(group_ / "cpu.max", cpu_max(definition.cpu_tuning.global));
    apply_threads(worker, definition);
  }
  if (tree_.has("memory")) apply_memory(definition);
  if (tree_.has("io")) apply_block_io(definition);
  const auto mode = definition.numa_tuning.mode;
  if (tree_.has("cpuset") &&
      (mode == config::NumaMemoryMode::strict || mode == config::NumaMemoryMode::restrictive)) {
    write(group_ / "cpuset.mems", definition.numa_tuning.nodes.to_string());
  }
}

void DomainCgroup::apply_threads(pid_t worker, const config::DomainDefinition& definition) const {
  const WorkerThreads threads = threads_of(worker);
  const auto limit_thread = [&](const std::string& name, const std::vector<pid_t>& members,
                                const config::CpuBandwidth& bandwidth) {
    const fs::path group = group_ / name;
    // Only what is limited needs a group.
    if (!bandwidth.quota_us && !fs::exists(group)) return;
    std::error_code failed;
    fs::create_directory(group, failed);
    if (read_line(group / "cgroup.type") != "threaded") write(group / "cgroup.type", "threaded");
    write(group_ / "cgroup.subtree_control", "+cpu");
    for (const pid_t thread : members) {
      const int error = try_write(group / "cgroup.threads", std::to_string(thread));
      if (error != 0 && error != ESRCH)
        throw system_error(error, fmt::format("put a thread into '{}'", group.string()));
    }
    write(group / "cpu.max", cpu_max(bandwidth));
  };
  const config::CpuTuning& tuning = definition.cpu_tuning;
  for (const auto& [number, thread] : threads.vcpus)
    limit_thread(fmt::format("vcpu{}", number), {thread}, tuning.vcpu);
  for (const auto& [number, thread] : threads.iothreads)
    limit_thread(fmt::format("iothread{}", number), {thread}, tuning.iothread);
  limit_thread("emulator", threads.emulator, tuning.emulator);
}

void DomainCgroup::apply_memory(const config::DomainDefinition& definition) const {
  const config::MemoryTuning& tuning = definition.memory_tuning;
  write(group_ / "memory.high", limit(tuning.soft_limit_kib));
  write(group_ / "memory.max", limit(tuning.hard_limit_kib));
  // libvirt's limit is of memory and swap together, the kernel's of swap alone.
  std::optional<std::uint64_t> swap = tuning.swap_hard_limit_kib;
  if (swap) *swap -= std::min(*swap, tuning.hard_limit_kib.value_or(0));
  const int failed = try_write(group_ / "memory.swap.max", limit(swap));
  if (failed != 0 && (swap || failed != ENOENT))  // a kernel without swap accounting has no such file
    throw system_error(failed, "limit swap");
}

void DomainCgroup::apply_block_io(const config::DomainDefinition& definition) const {
  const config::BlkioTuning& tuning = definition.blkio_tuning;
  const fs::path weight = fs::exists(group_ / "io.weight") ? group_ / "io.weight" : group_ / "io.bfq.weight";
  constexpr std::uint32_t kDefaultWeight = 100;
  if (tuning.weight != 0 || fs::exists(weight))
    write(weight, fmt::format("default {}", tuning.weight != 0 ? tuning.weight : kDefaultWeight));
  std::set<std::string> weighted, limited;
  for (const config::BlkioDevice& device : tuning.devices) {
    const std::string number = device_number(device.path);
    const auto most = [](std::uint64_t value) {
      return value == 0 ? std::string("max") : fmt::format("{}", value);
    };
    limited.insert(number);
    if (device.weight != 0) {
      write(weight, fmt::format("{} {}", number, device.weight));
      weighted.insert(number);
    }
    write(group_ / "io.max",
          fmt::format("{} rbps={} wbps={} riops={} wiops={}", number, most(device.read_bytes),
                      most(device.write_bytes), most(device.read_iops), most(device.write_iops)));
  }
  lift(weight, weighted, "default");
  lift(group_ / "io.max", limited, "rbps=max wbps=max riops=max wiops=max");
}

void require_for_start(const CgroupTree& tree, const config::DomainDefinition& definition) {
  const config::CpuTuning& cpu = definition.cpu_tuning;
  const bool needs_cpu = cpu.shares || cpu.vcpu.quota_us || cpu.global.quota_us || cpu.emulator.quota_us ||
                         cpu.iothread.quota_us;
  if (needs_cpu && !tree.has("cpu"))
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                "CPU tuning is not available on this host: no cgroup v2 with 'cpu'");
  if (definition.memory_tuning != config::MemoryTuning{} && !tree.has("memory"))
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                "Memory cgroup is not available on this host: no cgroup v2 with 'memory'");
  if (definition.blkio_tuning != config::BlkioTuning{} && !tree.has("io"))
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                "Block I/O tuning is not available on this host: no cgroup v2 with 'io'");
  if (definition.numa_tuning.mode == config::NumaMemoryMode::restrictive && !tree.has("cpuset"))
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                "numatune mode 'restrictive' is not available on this host: no cgroup v2 with 'cpuset'");
}

void require_for(const CgroupTree& tree, TuningGroup group) {
  const auto require = [&](const char* controller, const char* text) {
    if (!tree.has(controller)) throw operation_invalid(text);
  };
  if (group == TuningGroup::scheduler) require("cpu", "cgroup CPU controller is not mounted");
  if (group == TuningGroup::memory) require("memory", "cgroup memory controller is not mounted");
  if (group == TuningGroup::blkio) require("io", "blkio cgroup isn't mounted");
  if (group == TuningGroup::numa) require("cpuset", "cgroup cpuset controller is not mounted");
}

}  // namespace warren::driver::domain
