// Jobs, processor time, keys, memory, cores.
#include <fcntl.h>
#include <fmt/format.h>
#include <libvirt/libvirt-qemu.h>
#include <unistd.h>

#include "driver/domain/disk_parameters.h"
#include "driver/domain/key_codes.h"
#include "driver/domain/local_driver.h"
#include "driver/domain/monitor.h"
#include "driver/domain/monitor_input.h"
#include "driver/domain/vhost_user_disk.h"

namespace warren::driver::domain {

namespace {

using config::LifecycleAction;

LifecycleAction lifecycle_action(unsigned int type, unsigned int action) {
  if (type > VIR_DOMAIN_LIFECYCLE_CRASH)
    throw invalid_argument(fmt::format("type in virDomainSetLifecycleAction is unknown: {}", type));
  switch (action) {
    case VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY:
      return LifecycleAction::destroy;
    case VIR_DOMAIN_LIFECYCLE_ACTION_RESTART:
      return LifecycleAction::restart;
    case VIR_DOMAIN_LIFECYCLE_ACTION_PRESERVE:
      if (type == VIR_DOMAIN_LIFECYCLE_CRASH) return LifecycleAction::preserve;
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED, "only on_crash can be 'preserve'");
    case VIR_DOMAIN_LIFECYCLE_ACTION_COREDUMP_DESTROY:
      if (type == VIR_DOMAIN_LIFECYCLE_CRASH) return LifecycleAction::coredump_destroy;
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED, "only on_crash can be 'coredump-destroy'");
    case VIR_DOMAIN_LIFECYCLE_ACTION_COREDUMP_RESTART:
      if (type == VIR_DOMAIN_LIFECYCLE_CRASH) return LifecycleAction::coredump_restart;
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED, "only on_crash can be 'coredump-restart'");
    case VIR_DOMAIN_LIFECYCLE_ACTION_RESTART_RENAME:
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED, "no domain is renamed when it restarts");
    default:
      throw invalid_argument(fmt::format("action in virDomainSetLifecycleAction is unknown: {}", action));
  }
}

std::vector<std::uint8_t> read_image(const std::string& path, std::uint64_t offset, std::size_t size) {
  vmm::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) throw system_error(errno, fmt::format("open '{}'", path));
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t done = 0; done < size;) {
    const ssize_t got =
        ::pread(file.get(), bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_error(errno, fmt::format("read '{}'", path));
    if (got == 0) throw operation_failed(fmt::format("'{}' ends before byte {}", path, offset + size));
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

Task<std::vector<std::uint8_t>> peek_image(std::shared_ptr<Environment> environment, std::string path,
                                           std::uint64_t offset, std::size_t size) {
  using Bytes = std::vector<std::uint8_t>;
  std::move_only_function<Bytes()> work = [path, offset, size] { return read_image(path, offset, size); };
  co_return co_await run_blocking<Bytes>(environment->io_threads, std::move(work));
}

void require_active(const Snapshot& domain) {
  if (!domain.is_active()) throw operation_invalid("domain is not running");
}

void check_dump(unsigned int format, unsigned int flags) {
  constexpr unsigned int kFlags =
      VIR_DUMP_CRASH | VIR_DUMP_LIVE | VIR_DUMP_BYPASS_CACHE | VIR_DUMP_RESET | VIR_DUMP_MEMORY_ONLY;
  check_flags(flags, kFlags, "virDomainCoreDumpWithFormat");
  const auto exclude = [flags](unsigned int a, unsigned int b, const char* text) {
    if ((flags & a) != 0 && (flags & b) != 0) throw invalid_argument(text);
  };
  exclude(VIR_DUMP_CRASH, VIR_DUMP_LIVE, "crash and live flags are mutually exclusive");
  exclude(VIR_DUMP_CRASH, VIR_DUMP_RESET, "crash and reset flags are mutually exclusive");
  exclude(VIR_DUMP_LIVE, VIR_DUMP_RESET, "live and reset flags are mutually exclusive");
  if (format > VIR_DOMAIN_CORE_DUMP_FORMAT_WIN_DMP)
    throw invalid_argument(fmt::format("dumpformat '{}' is not supported", format));
  if (format == VIR_DOMAIN_CORE_DUMP_FORMAT_RAW) return;
  if ((flags & VIR_DUMP_MEMORY_ONLY) == 0)
    throw invalid_argument("kdump-compressed format is only supported with memory-only dump");
  throw operation_unsupported("a core is an ELF file; kdump-compressed and Windows formats are not written");
}

}  // namespace

TypedParameters LocalDriver::total_cpu_statistics(const Caller&, const Uuid& uuid, unsigned int flags) const {
  check_flags(flags, VIR_TYPED_PARAM_STRING_OKAY, "virDomainGetCPUStats");
  const Snapshot& domain = snapshot(uuid);
  require_active(domain);
  const ProcessTimes times = process_times(domain.pid);
  return {{VIR_DOMAIN_CPU_STATS_CPUTIME, process_cpu_time(domain.pid)},
          {VIR_DOMAIN_CPU_STATS_USERTIME, times.user_ns},
          {VIR_DOMAIN_CPU_STATS_SYSTEMTIME, times.system_ns}};
}

std::vector<TypedParameters> LocalDriver::host_cpu_statistics(const Caller&, const Uuid& uuid,
                                                              unsigned int flags) const {
  check_flags(flags, VIR_TYPED_PARAM_STRING_OKAY, "virDomainGetCPUStats");
  require_active(snapshot(uuid));
  throw operation_unsupported(
      "the kernel does not keep a domain's time for each host CPU (cgroup v2 has no cpuacct): ask for the "
      "total");
}

JobInfo LocalDriver::job_info(const Caller&, const Uuid& uuid) const {
  return find(uuid)->job_info();
}

JobStatistics LocalDriver::job_statistics(const Caller&, const Uuid& uuid, unsigned int flags) {
  check_flags(flags, VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED,
              "virDomainGetJobStats");
  return find(uuid)->job_statistics((flags & VIR_DOMAIN_JOB_STATS_COMPLETED) != 0,
                                    (flags & VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED) != 0);
}

void LocalDriver::abort_job(const Caller&, const Uuid& uuid, unsigned int flags,
                            Completion<void> completion) {
  std::optional<Error> refused;
  try {
    check_flags(flags, VIR_DOMAIN_ABORT_JOB_POSTCOPY, "virDomainAbortJobFlags");
    auto domain = find(uuid);
    if ((flags & VIR_DOMAIN_ABORT_JOB_POSTCOPY) != 0) {
      require_active(*domain->snapshot());
      throw operation_invalid("current job is not outgoing migration in post-copy mode");
    }
    domain->abort_job();
  } catch (...) {
    refused = error_of(std::current_exception());
  }
  if (refused) return completion(std::unexpected(*refused));
  completion({});
}

std::vector<DiskError> LocalDriver::disk_errors(const Caller&, const Uuid& uuid, unsigned int flags) const {
  check_flags(flags, 0, "virDomainGetDiskErrors");
  const Snapshot& domain = snapshot(uuid);
  require_active(domain);
  return domain.disk_errors;
}

void LocalDriver::start_dirty_rate(const Caller& caller, const Uuid& uuid, int seconds, unsigned int flags,
                                   Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_BITMAP | VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_RING,
                "virDomainStartDirtyRateCalc");
    if (seconds < 1 || seconds > 60)
      throw invalid_argument(
          fmt::format("seconds={} is invalid, please choose value within [1, 60].", seconds));
    // Every page is counted, so asking for a sample is answered better; rates of each vCPU are not to be had.
    if ((flags & VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_RING) != 0)
      throw operation_unsupported("dirty-ring calculation mode is not supported: use dirty-bitmap");
    return domain.start_dirty_rate(caller, static_cast<std::uint32_t>(seconds));
  });
}

void LocalDriver::set_lifecycle_action(const Caller& caller, const Uuid& uuid, unsigned int type,
                                       unsigned int action, unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG, "virDomainSetLifecycleAction");
    return domain.set_lifecycle_action(caller, type, lifecycle_action(type, action), flags);
  });
}

void LocalDriver::inject_nmi(const Caller& caller, const Uuid& uuid, unsigned int flags,
                             Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainInjectNMI");
    return domain.inject_nmi(caller);
  });
}

void LocalDriver::send_key(const Caller& caller, const Uuid& uuid, KeyPress keys, unsigned int flags,
                           Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainSendKey");
    if (keys.code_set > VIR_KEYCODE_SET_QNUM)
      throw invalid_argument(fmt::format("unsupported codeset {}", keys.code_set));
    if (keys.codes.empty()) throw invalid_argument("nkeycodes in virDomainSendKey must not be zero");
    vmm::control::SendKeys press{.hold_ms = keys.hold_ms == 0 ? 100 : keys.hold_ms};
    if (press.hold_ms > vmm::control::kMaximumHoldMilliseconds)
      throw invalid_argument("keys cannot be held for more than a minute");
    for (const std::uint32_t code : keys.codes) {
      const KeyCodes* key = find_key(keys.code_set, code);
      if (key == nullptr) {
        throw internal_error(
            fmt::format("cannot translate keycode {} of {} codeset to a key of a PC keyboard", code,
                        name_of_code_set(keys.code_set)));
      }
      press.codes.push_back(static_cast<std::uint16_t>(key->at_set1));
      press.linux_codes.push_back(static_cast<std::uint16_t>(key->linux_input));
    }
    return domain.send_keys(caller, std::move(press));
  });
}

void LocalDriver::suspend_guest(const Caller& caller, const Uuid& uuid, unsigned int target,
                                std::uint64_t duration, unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainPMSuspendForDuration");
    if (duration != 0) throw Error(VIR_ERR_ARGUMENT_UNSUPPORTED, "Duration not supported. Use 0 for now");
    if (target > VIR_NODE_SUSPEND_TARGET_HYBRID)
      throw invalid_argument(fmt::format("Unknown suspend target: {}", target));
    require_active(*domain.snapshot());
    const config::PowerManagement& states = domain.snapshot()->live->pm;
    if (target == VIR_NODE_SUSPEND_TARGET_DISK) {
      if (states.suspend_to_disk == false)
        throw operation_unsupported("S4 state is disabled for this domain");
    } else if (states.suspend_to_mem == false) {
      throw operation_unsupported("S3 state is disabled for this domain");
    }
    return domain.sleep_by_agent(caller, target);
  });
}

void LocalDriver::wake_guest(const Caller& caller, const Uuid& uuid, unsigned int flags,
                             Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainPMWakeup");
    return domain.wake(caller);
  });
}

void LocalDriver::block_peek(const Caller&, const Uuid& uuid, const std::string& path, std::uint64_t offset,
                             std::size_t size, unsigned int flags,
                             Completion<std::vector<std::uint8_t>> completion) {
  change<std::vector<std::uint8_t>>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, 0, "virDomainBlockPeek");
    std::uint64_t end = 0;
    if (__builtin_add_overflow(offset, std::uint64_t{size}, &end) || end > INT64_MAX)
      throw invalid_argument("offset and size reach beyond what a file can hold");
    for (const config::Disk& disk : domain.snapshot()->current().devices.disks) {
      if (!is_called(disk, path)) continue;
      require_own(disk, "peeking at it");
      if (disk.server) {
        throw Error(VIR_ERR_ARGUMENT_UNSUPPORTED,
                    fmt::format("disk '{}': a disk on a server cannot be peeked at", disk.target));
      }
      if (disk.driver.format.value_or(config::DiskFormat::raw) != config::DiskFormat::raw) {
        throw Error(
            VIR_ERR_ARGUMENT_UNSUPPORTED,
            fmt::format("disk '{}': only a disk in 'raw' format can be peeked at, not 'qcow2'", disk.target));
      }
      return peek_image(environment_, disk.source, offset, size);
    }
    throw invalid_argument(fmt::format("invalid disk or path '{}'", path));
  });
}

void LocalDriver::memory_peek(const Caller& caller, const Uuid& uuid, std::uint64_t address, std::size_t size,
                              unsigned int flags, Completion<std::vector<std::uint8_t>> completion) {
  change<std::vector<std::uint8_t>>(uuid, std::move(completion), [&](Domain& domain) {
    check_flags(flags, VIR_MEMORY_VIRTUAL | VIR_MEMORY_PHYSICAL, "virDomainMemoryPeek");
    if (flags != VIR_MEMORY_VIRTUAL && flags != VIR_MEMORY_PHYSICAL)
      throw invalid_argument("flags parameter must be VIR_MEMORY_VIRTUAL or VIR_MEMORY_PHYSICAL");
    return domain.read_memory(caller, {.address = address,
                                       .size = static_cast<std::uint32_t>(size),
                                       .is_virtual = flags == VIR_MEMORY_VIRTUAL});
  });
}

void LocalDriver::core_dump(const Caller& caller, const Uuid& uuid, std::string path, unsigned int format,
                            unsigned int flags, Completion<void> completion) {
  change<void>(uuid, std::move(completion), [&](Domain& domain) {
    check_dump(format, flags);
    if (!path.starts_with('/')) throw invalid_argument("the path of a core file must be absolute");
    return domain.core_dump(caller, std::move(path), flags);
  });
}

void LocalDriver::monitor_command(const Caller& caller, const Uuid& uuid, std::string command,
                                  unsigned int flags, Completion<std::string> completion) {
  if (flags == 0) {
    if (auto input = parse_monitor_input(command)) {
      return change<std::string>(uuid, std::move(completion), [&](Domain& domain) {
        require_active(*domain.snapshot());
        domain.taint_by_monitor();
        return domain.answer_monitor_input(caller, std::move(*input));
      });
    }
  }
  std::expected<std::string, Error> answer = std::unexpected(internal_error("no answer"));
  try {
    check_flags(flags, VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP, "virDomainQemuMonitorCommand");
    auto domain = find(uuid);
    require_active(*domain->snapshot());
    domain->taint_by_monitor();
    answer = (flags & VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP) != 0
                 ? answer_human_monitor(*domain->snapshot(), command)
                 : answer_qmp(*domain->snapshot(), command);
  } catch (...) {
    answer = std::unexpected(error_of(std::current_exception()));
  }
  completion(std::move(answer));
}

}  // namespace warren::driver::domain
