// Base address registers: what a function decodes, and where the guest put it (PCI 3.0 §6.2.5).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "vmm-core/bus/address_space.h"
#include "vmm-core/bus/io_handler.h"
#include "vmm-core/memory/guest_address.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm::pci {

inline constexpr unsigned kBars = 6;

enum class BarKind { io, memory32, memory64, memory64_prefetchable };

// Told where a BAR answers, for what follows it around: doorbells. Called with the function's lock held; not
// when the function is destroyed.
class BarListener {
 public:
  virtual void bar_mapped(unsigned bar, GuestAddress address) noexcept = 0;
  virtual void bar_unmapped(unsigned bar) noexcept = 0;

 protected:
  ~BarListener() = default;
};

// A BAR as the function declares it. A 64-bit BAR takes its register and the next.
struct BarDescription {
  unsigned index = 0;
  BarKind kind = BarKind::memory32;
  std::uint64_t size = 0;           // a power of two; at least 16 for memory, 4 to 256 for I/O
  IoHandler* handler = nullptr;     // must outlive the function's stay on the bus
  BarListener* listener = nullptr;  // or none
};

// The six registers of one function. Not synchronized: Function holds its lock around it.
class BarSet {
 public:
  BarSet(AddressSpace& memory, AddressSpace& ports) : memory_(memory), ports_(ports) {}

  // Throws Error when the description is malformed or its registers are taken.
  void add(const BarDescription& description);

  // The registers as the guest sees them, 0 to 5.
  std::uint32_t read(unsigned index) const noexcept;
  void write(unsigned index, std::uint32_t value) noexcept;

  // Maps and unmaps so that exactly what the command register allows and the addresses ask for is decoded. A
  // BAR over something else that answers stays undecoded until a later call finds its place free.
  void update(bool memory_enabled, bool io_enabled, const std::string& owner);
  void unmap_all() noexcept;
  void reset() noexcept;
  // True when an enabled BAR could not be mapped.
  bool is_refused() const noexcept;

  // What is declared and where it is set to be; nothing for a register that is none.
  const BarDescription* description(unsigned index) const noexcept;
  std::uint64_t address(unsigned index) const noexcept;
  void set_address(unsigned index, std::uint64_t address) noexcept;

  // Where the BAR answers now.
  std::optional<GuestAddress> mapped_at(unsigned index) const noexcept;
  void inspect(InspectNode& node) const;

 private:
  struct Bar {
    std::optional<BarDescription> description;
    bool upper_half = false;  // of the 64-bit BAR before it
    std::uint64_t address = 0;
    AddressSpace::Mapping mapping;
    bool refused = false;
  };

  void unmap(Bar& bar) noexcept;

  AddressSpace& memory_;
  AddressSpace& ports_;
  std::array<Bar, kBars> bars_;
};

}  // namespace warren::vmm::pci
