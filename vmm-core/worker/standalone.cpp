#include "vmm-core/worker/standalone.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::worker {
namespace {

std::string describe(const Resource& resource) {
  return "descriptor '" + resource.name + "': " + resource.path;
}

FileDescriptor open_file(const Resource& resource, int flags) {
  FileDescriptor opened(
      ::open(resource.path.c_str(), flags | O_CLOEXEC | (resource.direct ? O_DIRECT : 0), 0600));
  if (!opened) throw_errno(describe(resource));
  return opened;
}

FileDescriptor open_tap(const Resource& resource) {
  FileDescriptor tap(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tap) throw_errno(describe(resource) + ": /dev/net/tun");
  ifreq request{};
  if (resource.path.empty() || resource.path.size() >= sizeof(request.ifr_name)) {
    throw Error(std::errc::invalid_argument, describe(resource) + ": interface name");
  }
  std::memcpy(request.ifr_name, resource.path.data(), resource.path.size());
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  if (::ioctl(tap.get(), TUNSETIFF, &request) != 0) throw_errno(describe(resource) + ": TUNSETIFF");
  return tap;
}

FileDescriptor open_pty(const Resource& resource) {
  FileDescriptor main_side(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  std::array<char, 64> name{};
  if (!main_side || ::grantpt(main_side.get()) != 0 || ::unlockpt(main_side.get()) != 0 ||
      ::ptsname_r(main_side.get(), name.data(), name.size()) != 0) {
    throw_errno(describe(resource) + ": pseudo terminal");
  }
  FileDescriptor other_side(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios settings{};
  if (!other_side || ::tcgetattr(other_side.get(), &settings) != 0) throw_errno(describe(resource));
  ::cfmakeraw(&settings);
  if (::tcsetattr(other_side.get(), TCSANOW, &settings) != 0) throw_errno(describe(resource));
  std::fprintf(stderr, "%s is %s\n", resource.name.c_str(), name.data());
  return main_side;
}

FileDescriptor open_resource(const Resource& resource) {
  switch (resource.kind) {
    case ResourceKind::file:
      return open_file(resource, resource.write ? O_RDWR : O_RDONLY);
    case ResourceKind::output:
      return open_file(resource, O_WRONLY | O_CREAT | O_TRUNC);
    case ResourceKind::tap:
      return open_tap(resource);
    case ResourceKind::pty:
      return open_pty(resource);
  }
  throw Error(std::errc::invalid_argument, describe(resource));
}

}  // namespace

StandaloneMachine read_standalone_machine(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(std::errc::no_such_file_or_directory, path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  try {
    return control::parse_standalone_machine(text);
  } catch (const Error& error) {
    throw Error(error.code(), path + ": " + error.what());
  }
}

control::DescriptorSet open_resources(const std::vector<Resource>& resources) {
  control::DescriptorSet opened;
  for (const auto& resource : resources) {
    if (!opened.emplace(resource.name, open_resource(resource)).second) {
      throw Error(std::errc::file_exists, "descriptor '" + resource.name + "'");
    }
  }
  return opened;
}

}  // namespace warren::vmm::worker
