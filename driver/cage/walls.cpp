#include "driver/cage/walls.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "driver/cage/cage.h"
#include "vmm-core/os/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::cage {

namespace {

using vmm::FileDescriptor;

// Any directory that every host has and that the cage does not: the new root is mounted there.
constexpr const char* kRoot = "/proc";
constexpr rlim_t kOpenFiles = 1024;

void check(long result, const std::string& step) {
  if (result < 0) vmm::throw_errno("cage: " + step);
}

std::string inside(const std::string& place) {
  return kRoot + place;
}

void write_process_file(const char* path, const std::string& text) {
  const FileDescriptor file(::open(path, O_WRONLY | O_CLOEXEC));
  check(file.get(), path);
  check(::write(file.get(), text.data(), text.size()), path);
}

void make_file(const std::string& path, mode_t mode) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  check(file.get(), "make " + path);
}

// With these restrictions, beside those that it has (mount_setattr(2)).
void bind_mount(const std::string& source, const std::string& place, std::uint64_t restrictions) {
  const std::string target = inside(place);
  // What is mounted below belongs to it for who is not root (mount_namespaces(7), "Restrictions").
  const unsigned long depth = ::geteuid() == 0 ? 0 : MS_REC;
  check(::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | depth, nullptr), "bind " + source);
  mount_attr attributes{.attr_set = restrictions | MOUNT_ATTR_NOSUID};
  check(::mount_setattr(AT_FDCWD, target.c_str(), AT_RECURSIVE, &attributes, sizeof(attributes)),
        "restrict " + source);
}

constexpr std::uint64_t kOfTheSystem = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;

// Not what an administrator has put below /usr, which may be nobody else's.
void bind_usr() {
  check(::mkdir(inside("/usr").c_str(), 0755), "make /usr");
  for (const char* directory : {"/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec"}) {
    if (::access(directory, F_OK) != 0) continue;
    check(::mkdir(inside(directory).c_str(), 0755), std::string("make ") + directory);
    bind_mount(directory, directory, kOfTheSystem);
  }
}

// On most hosts links into /usr; directories of their own on the others.
void bind_beside_usr(const std::string& directory) {
  struct stat status{};
  if (::lstat(directory.c_str(), &status) != 0) return;
  if (S_ISLNK(status.st_mode)) {
    std::array<char, 256> target{};
    check(::readlink(directory.c_str(), target.data(), target.size() - 1), "read the link " + directory);
    check(::symlink(target.data(), inside(directory).c_str()), "make the link " + directory);
    return;
  }
  check(::mkdir(inside(directory).c_str(), 0755), "make " + directory);
  bind_mount(directory, directory, kOfTheSystem);
}

void check_same(int held, const std::string& bound, const std::string& source) {
  struct stat one{}, other{};
  check(::fstat(held, &one), "look at " + source);
  check(::stat(bound.c_str(), &other), "look at " + source);
  if (one.st_dev == other.st_dev && one.st_ino == other.st_ino) return;
  errno = ESTALE;
  vmm::throw_errno("cage: " + source + " was replaced meanwhile");
}

void copy_secret(int secret, uid_t user, gid_t group) {
  const std::string path = inside(kSecretPlace);
  make_file(path, 0400);
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  check(file.get(), "open " + path);
  std::array<char, 4096> bytes{};
  const ssize_t got = ::pread(secret, bytes.data(), bytes.size(), 0);
  check(got, "read the secret");
  const ssize_t put = ::write(file.get(), bytes.data(), static_cast<std::size_t>(got));
  ::explicit_bzero(bytes.data(), bytes.size());
  check(put == got ? 0 : -1, "keep the secret");
  if (::geteuid() == 0) check(::fchown(file.get(), user, group), "give the secret away");
}

}  // namespace

void enter_name_spaces() {
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  if (user != 0) {
    check(::unshare(CLONE_NEWUSER),
          "make a user name space: the host does not let this user have one, and nothing is run uncaged");
    // Required before an unprivileged process may write gid_map (user_namespaces(7)).
    write_process_file("/proc/self/setgroups", "deny");
    write_process_file("/proc/self/uid_map", std::to_string(user) + " " + std::to_string(user) + " 1");
    write_process_file("/proc/self/gid_map", std::to_string(group) + " " + std::to_string(group) + " 1");
  }
  check(::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID),
        "make name spaces");
}

void make_root(std::span<const Binding> bindings, int held, int secret, uid_t user, gid_t group) {
  check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make mounts private");
  check(::mount("none", kRoot, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,nr_inodes=64,mode=0755"),
        "mount the root");
  bind_usr();
  for (const char* directory : {"/bin", "/lib", "/lib64"}) bind_beside_usr(directory);
  check(::mkdir(inside("/dev").c_str(), 0755), "make /dev");
  make_file(inside("/dev/null"), 0600);
  bind_mount("/dev/null", "/dev/null", MOUNT_ATTR_NOEXEC);
  for (const Binding& binding : bindings) {
    make_file(inside(binding.place), 0600);
    bind_mount(binding.source, binding.place, MOUNT_ATTR_NOEXEC | (binding.writable ? 0 : MOUNT_ATTR_RDONLY));
  }
  if (held >= 0) check_same(held, inside(bindings.front().place), bindings.front().source);
  if (secret >= 0) copy_secret(secret, user, group);
  check(::chdir(kRoot), "enter the root");
  // pivot_root(2): with "." twice the old root ends stacked on the new one and is detached from there.
  check(::syscall(SYS_pivot_root, ".", "."), "make it the root");
  check(::umount2(".", MNT_DETACH), "detach the host's root");
  check(::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                nullptr),
        "make the root read-only");
  check(::chdir("/"), "enter the root");
}

void drop_privileges(uid_t user, gid_t group) {
  const rlimit files{kOpenFiles, kOpenFiles}, none{0, 0};
  check(::setrlimit(RLIMIT_NOFILE, &files), "limit open files");
  check(::setrlimit(RLIMIT_CORE, &none), "have no core written");
  const bool root = ::geteuid() == 0;
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (root && capability == CAP_DAC_OVERRIDE) continue;
    check(::prctl(PR_CAPBSET_DROP, capability), "drop a capability from the bounding set");
  }
  if (root) {
    check(::prctl(PR_SET_KEEPCAPS, 1), "keep a capability");
    check(::setgroups(0, nullptr), "drop supplementary groups");
    check(::setresgid(group, group, group), "become the unprivileged group");
    check(::setresuid(user, user, user), "become the unprivileged user");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  if (root) {
    constexpr std::uint32_t kOverride = 1u << CAP_DAC_OVERRIDE;
    sets[0] = {.effective = kOverride, .permitted = kOverride, .inheritable = kOverride};
  }
  check(::syscall(SYS_capset, &header, sets.data()), "drop capabilities");
  if (root) {
    check(::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0),
          "leave the capability to open what it is given");
  }
  check(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs");
}

}  // namespace warren::driver::cage
