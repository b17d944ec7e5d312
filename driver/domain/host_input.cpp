#include "driver/domain/host_input.h"

#include <array>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/input.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace control = vmm::control;

namespace {

constexpr std::size_t kBitmapBytes = 128;  // as many as a virtio device tells (virtio 1.2 §5.8.4)

std::string read_text(int device, unsigned long request) {
  std::array<char, 129> text{};
  // A device without a name or serial number has none to tell.
  if (::ioctl(device, request, text.data()) < 0) return {};
  text.back() = '\0';
  return text.data();
}

std::vector<std::uint16_t> read_bits(int device, unsigned long request) {
  std::array<std::uint8_t, kBitmapBytes> bits{};
  std::vector<std::uint16_t> codes;
  if (::ioctl(device, request, bits.data()) < 0) return codes;
  for (std::size_t i = 0; i < bits.size() * 8; ++i)
    if ((bits[i / 8] >> i % 8 & 1) != 0) codes.push_back(static_cast<std::uint16_t>(i));
  return codes;
}

void describe(int device, control::HostInputSpecification& description) {
  description.name = read_text(device, EVIOCGNAME(128));
  description.serial = read_text(device, EVIOCGUNIQ(128));
  input_id id{};
  if (::ioctl(device, EVIOCGID, &id) == 0) {
    description.bus = id.bustype;
    description.vendor = id.vendor;
    description.product = id.product;
    description.version = id.version;
  }
  description.properties = read_bits(device, EVIOCGPROP(kBitmapBytes));
  for (const std::uint16_t type : read_bits(device, EVIOCGBIT(0, kBitmapBytes))) {
    if (type == EV_SYN || type > EV_MAX) continue;
    // Of auto-repeat it is told that the device has it; the guest does it.
    auto codes = type == EV_REP ? std::vector<std::uint16_t>{REP_DELAY, REP_PERIOD}
                                : read_bits(device, EVIOCGBIT(type, kBitmapBytes));
    if (type == EV_ABS) {
      for (const std::uint16_t axis : codes) {
        input_absinfo found{};
        if (axis > ABS_MAX || ::ioctl(device, EVIOCGABS(axis), &found) != 0) continue;
        description.axes.push_back(
            {axis, found.minimum, found.maximum, found.fuzz, found.flat, found.resolution});
      }
    }
    if (!codes.empty()) description.events.push_back({type, std::move(codes)});
  }
}

}  // namespace

HostInput open_host_input(const std::string& path, HostInputUse use) {
  constexpr int kFlags = O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
  // LEDs are set by writing; a device that may only be read has none for the guest.
  vmm::FileDescriptor device(
      ::open(path.c_str(), (use == HostInputUse::listen ? O_RDONLY : O_RDWR) | kFlags));
  if (!device && (errno == EACCES || errno == EPERM || errno == EROFS))
    device.reset(::open(path.c_str(), O_RDONLY | kFlags));
  if (!device) throw system_error(errno, fmt::format("open input device '{}'", path));
  struct stat status{};
  int version = 0;
  if (::fstat(device.get(), &status) != 0 || !S_ISCHR(status.st_mode) ||
      ::ioctl(device.get(), EVIOCGVERSION, &version) != 0) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("'{}' is no evdev device, as /dev/input/event0 is one", path));
  }
  // While it is grabbed, nobody but this descriptor hears what the device does, nor what is written to it: a
  // worker that was taken over types on nobody's console.
  if (::ioctl(device.get(), EVIOCGRAB, 1) != 0)
    throw system_error(errno, fmt::format("input device '{}' is not to be had alone", path));
  HostInput result;
  describe(device.get(), result.description);
  result.device = std::move(device);
  return result;
}

}  // namespace warren::driver::domain
