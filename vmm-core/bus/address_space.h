// One address space of the guest, memory or ports: which handler answers where.
//
// Lookups take no lock and never wait for I/O: vCPU threads read a published table and retry when it changed
// meanwhile. Mappings are changed on any thread, one at a time. A handler whose mapping was just taken back
// may still be running on another vCPU thread, so it must outlive the vCPUs' run, not only its mapping.
//
// An access that no mapping covers whole reads as all ones and is ignored when written, as on a PC bus with
// nobody answering, and is counted.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm-core/bus/io_handler.h"
#include "vmm-core/state/inspect.h"

namespace warren::vmm {

class AddressSpace final : public Inspectable {
 public:
  // A mapping, taken back when this is destroyed or reset. The space must outlive it.
  class Mapping {
   public:
    Mapping() noexcept = default;
    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&& other) noexcept;
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping() { reset(); }

    void reset() noexcept;
    explicit operator bool() const noexcept { return space_ != nullptr; }
    std::uint64_t start() const noexcept { return start_; }

   private:
    friend class AddressSpace;
    Mapping(AddressSpace& space, std::uint64_t start) noexcept : space_(&space), start_(start) {}

    AddressSpace* space_ = nullptr;
    std::uint64_t start_ = 0;
  };

  // `name` ("ports", "mmio") is for messages; addresses run from 0 to `last`.
  AddressSpace(std::string name, std::uint64_t last);
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;
  ~AddressSpace();

  // Lets `handler` answer [start, start + size); offsets it sees begin at 0. `owner` names it in inspect()
  // and messages. Throws Error when the range is empty, leaves the space or overlaps another mapping.
  [[nodiscard]] Mapping map(std::uint64_t start, std::uint64_t size, IoHandler& handler,
                            const std::string& owner);

  // The same for ranges a guest chose: nothing, instead of an exception, when it cannot be.
  [[nodiscard]] std::optional<Mapping> try_map(std::uint64_t start, std::uint64_t size, IoHandler& handler,
                                               const std::string& owner);

  // One access of 1 to 8 bytes.
  void read(std::uint64_t address, std::span<std::byte> data) noexcept;
  void write(std::uint64_t address, std::span<const std::byte> data) noexcept;

  // Accesses that hit nothing, or only in part.
  std::uint64_t unclaimed_reads() const noexcept { return unclaimed_reads_.load(std::memory_order_relaxed); }
  std::uint64_t unclaimed_writes() const noexcept {
    return unclaimed_writes_.load(std::memory_order_relaxed);
  }

  void inspect(InspectNode& node) const override;

 private:
  struct Entry;
  struct Table;
  struct Found {
    IoHandler* handler = nullptr;
    std::uint64_t offset = 0;
  };

  Found find(std::uint64_t address, std::uint64_t size) const noexcept;
  std::size_t position(std::uint64_t start) const noexcept;
  bool is_free(std::uint64_t start, std::uint64_t size) const noexcept;
  void publish() noexcept;
  void unmap(std::uint64_t start) noexcept;

  struct Owned {
    std::uint64_t start = 0;
    std::uint64_t last = 0;  // inclusive
    IoHandler* handler = nullptr;
    std::string owner;
  };

  const std::string name_;
  const std::uint64_t last_;

  mutable std::mutex mutex_;                    // guards mappings_ and tables_, and who publishes
  std::vector<Owned> mappings_;                 // ascending
  std::vector<std::unique_ptr<Table>> tables_;  // the last is published; a lookup may still read an older one

  std::atomic<const Table*> table_;
  std::atomic<std::uint64_t> unclaimed_reads_{0};
  std::atomic<std::uint64_t> unclaimed_writes_{0};
};

}  // namespace warren::vmm
