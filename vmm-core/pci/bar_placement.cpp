// RootComplex::place_bars(): what firmware does to BARs and bridges before an operating system starts.
#include <algorithm>
#include <string>

#include "vmm-core/os/error.h"
#include "vmm-core/pci/root_complex.h"

namespace warren::vmm::pci {
namespace {

// Bridge windows have these steps (PCI-to-PCI Bridge 1.2 §3.2.5).
constexpr std::uint64_t kMemoryStep = std::uint64_t{1} << 20;
constexpr std::uint64_t kIoStep = std::uint64_t{1} << 12;
// What a slot keeps for a device that comes later: no guest can widen a window whose neighbours are taken.
constexpr std::uint64_t kHotPlugRoom = 2 * kMemoryStep;
// A 64-bit BAR up to this size goes below 4 GiB.
constexpr std::uint64_t kSmallBar = std::uint64_t{16} << 20;

// Hands out a window from its start.
class Cursor {
 public:
  Cursor(const Window& window, const char* name) : next_(window.first), last_(window.last), name_(name) {}

  std::uint64_t take(std::uint64_t size, std::uint64_t alignment) {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    if (__builtin_add_overflow(next_, alignment - 1, &start)) fail(size);
    start &= ~(alignment - 1);
    if (__builtin_add_overflow(start, size, &end) || end - 1 > last_) fail(size);
    next_ = end;
    return start;
  }

 private:
  [[noreturn]] void fail(std::uint64_t size) const {
    throw Error(std::errc::no_buffer_space, std::string("PCI: no room for ") + std::to_string(size) +
                                                " bytes of BARs in the " + name_ + " window");
  }

  std::uint64_t next_;
  const std::uint64_t last_;
  const char* const name_;
};

enum class Space { io, memory32, memory64 };

Space space_of(const BarDescription& bar) noexcept {
  if (bar.kind == BarKind::io) return Space::io;
  return bar.kind == BarKind::memory32 || bar.size <= kSmallBar ? Space::memory32 : Space::memory64;
}

struct Request {
  Function* function = nullptr;
  BarDescription bar;
};

// Largest first: that leaves no gaps, for sizes are powers of two.
std::vector<Request> requests(std::span<Function* const> functions, Space space) {
  const auto size = [](const Request& request) { return request.bar.size; };
  std::vector<Request> found;
  for (Function* function : functions) {
    for (const auto& bar : function->bars()) {
      if (space_of(bar) != space) continue;
      found.insert(std::ranges::upper_bound(found, bar.size, std::greater{}, size), {function, bar});
    }
  }
  return found;
}

void place(std::span<const Request> wanted, Cursor& cursor) {
  for (const auto& request : wanted) {
    request.function->place_bar(request.bar.index, cursor.take(request.bar.size, request.bar.size));
  }
}

// The window of a bridge for what is behind it, of at least `least` bytes, and those BARs placed in it.
Window place_behind_port(std::span<Function* const> functions, Space space, std::uint64_t step,
                         Cursor& cursor, std::uint64_t least = 0) {
  const auto wanted = requests(functions, space);
  if (wanted.empty() && least == 0) return {};
  std::uint64_t total = least;
  std::uint64_t needed = 0;
  for (const auto& request : wanted) needed += request.bar.size;  // at most 48 BARs of at most 2^46
  total = std::max(total, needed);
  total = (total + step - 1) / step * step;
  const std::uint64_t start =
      cursor.take(total, wanted.empty() ? step : std::max(step, wanted.front().bar.size));
  const Window window{start, start + total - 1};
  Cursor inside(window, "root port's");
  place(wanted, inside);
  return window;
}

}  // namespace

void RootComplex::place_bars(const PlacementWindows& windows) {
  Cursor io(windows.io, "I/O");
  Cursor memory32(windows.memory32, "32-bit memory");
  Cursor memory64(windows.memory64, "64-bit memory");
  place(requests(all_, Space::memory32), memory32);
  place(requests(all_, Space::memory64), memory64);
  place(requests(all_, Space::io), io);
  std::uint8_t bus = 0;
  for (RootPort* port : port_list_) {
    ++bus;
    port->set_buses(bus, bus);
    std::vector<Function*> behind;
    for (std::uint8_t i = 0; i < kFunctions; ++i) {
      if (Function* function = port->find(i)) behind.push_back(function);
    }
    port->set_windows(place_behind_port(behind, Space::io, kIoStep, io),
                      place_behind_port(behind, Space::memory32, kMemoryStep, memory32,
                                        port->has_slot() ? kHotPlugRoom : 0),
                      place_behind_port(behind, Space::memory64, kMemoryStep, memory64));
    for (Function* function : behind) function->enable_decoding();
  }
  for (Function* function : all_) function->enable_decoding();
}

}  // namespace warren::vmm::pci
