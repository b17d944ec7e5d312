#include "vmm-core/sandbox/isolation.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm-core/os/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::vmm {
namespace {

constexpr int kNamespaces = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;

void check(long result, const char* step) {
  if (result < 0) throw_errno(std::string("sandbox: ") + step);
}

void write_process_file(const char* path, const std::string& text) {
  FileDescriptor file(open(path, O_WRONLY | O_CLOEXEC));
  check(file.get(), path);
  check(write(file.get(), text.data(), text.size()), path);
}

// A user name space in which the caller is itself, so that the other name spaces may be made without
// privilege. False when the kernel or its administrator does not let us.
bool enter_user_namespace() {
  uid_t user = geteuid();
  gid_t group = getegid();
  if (unshare(CLONE_NEWUSER) < 0) return false;
  // Required before an unprivileged process may write gid_map (user_namespaces(7)).
  write_process_file("/proc/self/setgroups", "deny");
  write_process_file("/proc/self/uid_map", std::to_string(user) + " " + std::to_string(user) + " 1");
  write_process_file("/proc/self/gid_map", std::to_string(group) + " " + std::to_string(group) + " 1");
  return true;
}

void enter_namespaces(int network_namespace) {
  if (network_namespace >= 0) {
    check(setns(network_namespace, CLONE_NEWNET), "enter the prepared network name space");
    check(unshare(kNamespaces), "make mount, IPC and UTS name spaces");
  } else {
    check(unshare(kNamespaces | CLONE_NEWNET), "make mount, network, IPC and UTS name spaces");
  }
}

// The root becomes an empty read-only file system; the host's tree goes out of reach with the detached old
// root.
void empty_root() {
  check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make mounts private");
  // Any existing directory serves as the mount point; /proc is one that every host has.
  check(mount("none", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=1,mode=0555"),
        "mount an empty root");
  check(chdir("/proc"), "enter the empty root");
  // pivot_root(2): with "." twice the old root ends stacked on the new one and is detached from there.
  check(syscall(SYS_pivot_root, ".", "."), "make the empty root the root");
  check(umount2(".", MNT_DETACH), "detach the host's root");
  check(mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
              nullptr),
        "make the empty root read-only");
  check(chdir("/"), "enter the root");
}

void drop_capabilities() {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    // Without CAP_SETPCAP (unprivileged, no user name space) the set stays, and means nothing: no_new_privs.
    if (prctl(PR_CAPBSET_DROP, capability) < 0 && errno != EPERM)
      throw_errno("sandbox: drop capability " + std::to_string(capability) + " from the bounding set");
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

void clear_capability_sets() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  check(syscall(SYS_capset, &header, none.data()), "clear the capability sets");
}

void become(const IsolationOptions& options) {
  check(setgroups(0, nullptr), "drop supplementary groups");
  check(setresgid(*options.group, *options.group, *options.group), "become the unprivileged group");
  check(setresuid(*options.user, *options.user, *options.user), "become the unprivileged user");
}

// struct landlock_ruleset_attr as of ABI 6; older kernels take its beginning.
struct LandlockRuleset {
  std::uint64_t handled_access_fs;
  std::uint64_t handled_access_net;
  std::uint64_t scoped;
};

// A rule set that handles every right the kernel knows and grants none (landlock(7)).
std::uint32_t restrict_by_landlock() {
  constexpr std::uint32_t kVersionQuery = 1;
  long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersionQuery);
  if (abi <= 0) return 0;
  // Rights of files by ABI: 13 in the first, then REFER, TRUNCATE and IOCTL_DEV.
  std::uint64_t files = (std::uint64_t{1} << 13) - 1;
  if (abi >= 2) files |= 1 << 13;
  if (abi >= 3) files |= 1 << 14;
  if (abi >= 5) files |= 1 << 15;
  LandlockRuleset rules{files, abi >= 4 ? 3u : 0u,
                        abi >= 6 ? 3u : 0u};  // bind and connect; sockets and signals
  std::size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
  FileDescriptor set(static_cast<int>(syscall(SYS_landlock_create_ruleset, &rules, size, 0)));
  check(set.get(), "make a Landlock rule set");
  check(syscall(SYS_landlock_restrict_self, set.get(), 0), "apply the Landlock rule set");
  return static_cast<std::uint32_t>(abi);
}

}  // namespace

Isolation enter_isolation(const IsolationOptions& options) {
  bool root = geteuid() == 0;
  if (root && (!options.user || !options.group || *options.user == 0))
    throw Error(std::errc::invalid_argument,
                "sandbox: started as root without an unprivileged identity to become");
  Isolation result;
  result.namespaces = root || enter_user_namespace();
  if (result.namespaces) {
    enter_namespaces(root ? options.network_namespace : -1);
    empty_root();
  }
  drop_capabilities();
  if (root) become(options);
  clear_capability_sets();
  check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs");
  result.landlock_abi = restrict_by_landlock();
  check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "become undumpable");
  return result;
}

void close_descriptors_except(std::span<const int> keep) {
  std::vector<unsigned> kept;
  for (int descriptor : keep)
    if (descriptor >= 0) kept.push_back(static_cast<unsigned>(descriptor));
  std::ranges::sort(kept);
  unsigned next = 0;
  for (unsigned descriptor : kept) {
    if (descriptor > next) check(close_range(next, descriptor - 1, 0), "close foreign descriptors");
    next = std::max(next, descriptor + 1);
  }
  check(close_range(next, ~0u, 0), "close foreign descriptors");
}

}  // namespace warren::vmm
