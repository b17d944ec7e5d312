// Limits of a running domain by cgroup v2 (kernel: admin-guide/cgroup-v2.rst).
//
// A daemon that has a subtree of its own - delegated by its service manager, or the whole tree where there is
// none - puts each worker into a group below it: memory and block I/O of the group, CPU weight and time of
// the group, and CPU time of the vCPUs, IOThreads and the rest in threaded groups below that one. Everything
// blocks: pool threads only, but for has() and can_apply(). Throws Error.
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>

#include <sys/types.h>

#include "driver/config/domain_definition.h"
#include "driver/contract/domain_tuning.h"

namespace warren::driver::domain {

// The part of the tree that is the daemon's.
class CgroupTree {
 public:
  // None.
  CgroupTree() = default;
  // `root` is made, and its controllers enabled for its children; those that cannot be are not had.
  explicit CgroupTree(std::filesystem::path root);
  // What the kernel and the service manager gave this process; none when there is nothing.
  // `runtime_directory` tells this daemon from others on the host: the same domain may run under two of them.
  static CgroupTree find(const std::filesystem::path& runtime_directory);

  // When the daemon ends: nothing of it stays behind unless a domain runs on.
  void remove_if_empty() const noexcept;

  const std::filesystem::path& root() const noexcept { return root_; }
  bool has(const std::string& controller) const { return controllers_.contains(controller); }

 private:
  std::filesystem::path root_;  // empty: none
  bool is_own_ = false;         // made here, not given by a service manager
  std::set<std::string> controllers_;
};

// One domain's group.
class DomainCgroup {
 public:
  DomainCgroup(const CgroupTree& tree, const std::string& name);

  // Makes it and puts the worker there, before it has done anything.
  void enter(pid_t worker) const;
  // Puts another process there while the domain runs; throws when it does not any more.
  void join(pid_t process) const;
  void apply(pid_t worker, const config::DomainDefinition& definition) const;
  // Once the worker has ended; a group that is not there, or not empty, is left.
  void remove() const noexcept;

 private:
  void apply_threads(pid_t worker, const config::DomainDefinition& definition) const;
  void apply_memory(const config::DomainDefinition& definition) const;
  void apply_block_io(const config::DomainDefinition& definition) const;

  const CgroupTree& tree_;
  std::filesystem::path group_;
};

// Throws, as libvirt does, VIR_ERR_CONFIG_UNSUPPORTED for a definition that needs what the host has not (a
// start), and VIR_ERR_OPERATION_INVALID for a group of parameters of a running domain.
void require_for_start(const CgroupTree& tree, const config::DomainDefinition& definition);
void require_for(const CgroupTree& tree, TuningGroup group);

}  // namespace warren::driver::domain
