// For tests: a guest's queue to a disk, by the same stream that devices use.
#pragma once

#include <array>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <random>
#include <vector>

#include "vmm-core/block/disk_stream.h"

namespace warren::vmm::block::job {

// One request at a time, waited for.
class StepGuest final : private DiskClient {
 public:
  explicit StepGuest(Disk& disk) : stream_(disk, 0, 4, *this) {
    thread_.run([this] { stream_.start(thread_); });
  }
  ~StepGuest() {
    thread_.run([this] { stream_.stop(thread_); });
  }

  // 0, or the request failed.
  int perform(Operation operation, std::uint64_t offset, std::vector<std::byte>& bytes,
              bool may_unmap = false) {
    done_ = false;
    thread_.run([&] {
      request_.clear();
      request_.operation = operation;
      request_.offset = operation == Operation::flush ? 0 : offset;
      request_.length = operation == Operation::flush ? 0 : bytes.size();
      request_.may_unmap = may_unmap;
      range_ = {bytes.data(), bytes.size()};
      if (operation == Operation::read || operation == Operation::write) request_.ranges = {&range_, 1};
      stream_.begin(request_);
      stream_.kick();
    });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done_; });
    return failed_ ? 1 : 0;
  }

 private:
  void finished(DiskRequest&, bool failed) noexcept override {
    const std::lock_guard lock(mutex_);
    failed_ = failed;
    done_ = true;
    changed_.notify_all();
  }
  void abandoned(DiskRequest&) noexcept override {}
  void went_on() noexcept override {}

  EventThread thread_{"guest"};
  DiskRequest request_;
  iovec range_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false, failed_ = false;
  DiskStream stream_;
};

// As many requests at once as it holds, all the time, each to sectors of its own: those whose number is the
// slot's modulo the slots of all guests. So slots share clusters and never sectors, and what each reads is
// known.
class BusyGuest final : private DiskClient {
 public:
  BusyGuest(Disk& disk, std::vector<char>& model, unsigned index, unsigned guests, std::uint64_t seed)
      : model_(model),
        index_(index),
        guests_(guests),
        random_(seed),
        slots_(kSlots),
        stream_(disk, index, kSlots, *this) {
    thread_.run([this] {
      stream_.start(thread_);
      begin_all();
    });
  }
  ~BusyGuest() { end(); }

  void end() {
    if (ended_) return;
    ended_ = true;
    thread_.run([this] {
      ending_ = true;
      stream_.stop(thread_);
    });
  }
  bool saw_wrong() const { return wrong_; }
  bool saw_error() const { return failed_; }
  std::uint64_t requests() const { return requests_; }

 private:
  static constexpr unsigned kSlots = 12, kSectors = 3;
  static constexpr std::uint64_t kSector = 512;
  struct Slot : DiskRequest {
    std::array<iovec, 2> iovecs{};
    std::vector<char> memory, expected;
    bool busy = false;
  };

  void begin_all() {
    for (unsigned i = 0; i < kSlots && !ending_; ++i) {
      if (!slots_[i].busy) begin(i);
    }
    stream_.kick();
  }

  void begin(unsigned i) {
    Slot& slot = slots_[i];
    const std::uint64_t stride = std::uint64_t{kSlots} * guests_ * kSectors;
    const std::uint64_t strides = model_.size() / kSector / stride;
    const std::uint64_t first = (random_() % strides) * stride + (index_ * kSlots + i) * kSectors;
    slot.clear();
    slot.offset = first * kSector;
    slot.length = kSectors * kSector;
    slot.memory.resize(slot.length);
    char* model = model_.data() + slot.offset;
    const unsigned kind = static_cast<unsigned>(random_() % 16);
    if (kind < 6) {
      slot.operation = Operation::read;
      slot.expected.assign(model, model + slot.length);
    } else if (kind < 12) {
      slot.operation = Operation::write;
      slot.durable = kind == 11;
      const char fill = static_cast<char>(random_());
      std::fill(slot.memory.begin(), slot.memory.end(), fill);
      std::fill_n(model, slot.length, fill);
    } else if (kind < 15) {
      slot.operation = Operation::write_zeroes;
      slot.may_unmap = kind == 14;
      std::fill_n(model, slot.length, 0);
    } else {
      slot.operation = Operation::flush;
      slot.offset = slot.length = 0;
    }
    slot.iovecs = {{{slot.memory.data(), 100}, {slot.memory.data() + 100, slot.memory.size() - 100}}};
    if (kind < 12) slot.ranges = slot.iovecs;
    slot.busy = true;
    ++requests_;
    stream_.begin(slot);
  }

  void finished(DiskRequest& request, bool failed) noexcept override {
    Slot& slot = static_cast<Slot&>(request);
    slot.busy = false;
    failed_ = failed_ || failed;
    wrong_ = wrong_ || (slot.operation == Operation::read &&
                        std::memcmp(slot.memory.data(), slot.expected.data(), slot.memory.size()) != 0);
  }
  void abandoned(DiskRequest&) noexcept override {}
  void went_on() noexcept override { begin_all(); }

  std::vector<char>& model_;
  const unsigned index_, guests_;
  std::mt19937_64 random_;
  EventThread thread_{"guest"};
  std::vector<Slot> slots_;
  bool ending_ = false, ended_ = false;
  bool wrong_ = false, failed_ = false;  // read when it has ended
  std::uint64_t requests_ = 0;
  DiskStream stream_;
};

}  // namespace warren::vmm::block::job
