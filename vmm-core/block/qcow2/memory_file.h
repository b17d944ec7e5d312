// For tests: a file in memory that keeps a log of what was done to it, and fails as it is told.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "vmm-core/block/host_file.h"

namespace warren::vmm::block::qcow2 {

// What the host's disk holds; shared, so that it outlives the image on it.
class MemoryDisk {
 public:
  struct Record {
    enum class Kind { write, sync } kind = Kind::write;
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes;
  };
  std::vector<std::byte> bytes;
  std::vector<Record> log;
  bool logs = false;
  // Asked before each operation ('r', 'w', 's', 'z', 'd'): an errno, or 0. A write that fails may be half
  // done.
  std::function<int(char)> fault;
  std::uint64_t most_bytes = std::uint64_t{1} << 34;  // a bound on what a test may make of it
};

class MemoryFile final : public HostFile {
 public:
  explicit MemoryFile(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {}

  int read(std::uint64_t offset, std::span<iovec> to) noexcept override {
    if (const int error = fail('r')) return error;
    for (const iovec& range : to) {
      auto* bytes = static_cast<std::byte*>(range.iov_base);
      const std::uint64_t there =
          offset < size() ? std::min<std::uint64_t>(range.iov_len, size() - offset) : 0;
      if (there != 0) std::copy_n(disk_->bytes.begin() + static_cast<std::ptrdiff_t>(offset), there, bytes);
      std::fill(bytes + there, bytes + range.iov_len, std::byte{0});
      offset += range.iov_len;
    }
    return 0;
  }
  int write(std::uint64_t offset, std::span<iovec> from) noexcept override {
    const int error = fail('w');
    std::vector<std::byte> bytes;
    for (const iovec& range : from) {
      const auto* data = static_cast<const std::byte*>(range.iov_base);
      bytes.insert(bytes.end(), data, data + range.iov_len);
    }
    if (error != 0) bytes.resize(bytes.size() / 1024 * 512);
    if (offset > disk_->most_bytes || bytes.size() > disk_->most_bytes - offset) return EFBIG;
    put(offset, std::move(bytes));
    return error;
  }
  int zero(std::uint64_t offset, std::uint64_t length, bool) noexcept override {
    if (const int error = fail('z')) return error;
    if (offset >= size()) return 0;
    put(offset, std::vector<std::byte>(std::min(length, size() - offset)));
    return 0;
  }
  int discard(std::uint64_t offset, std::uint64_t length) noexcept override {
    if (const int error = fail('d')) return error;
    if (offset >= size()) return 0;
    // What is there afterwards is anybody's guess.
    put(offset, std::vector<std::byte>(std::min(length, size() - offset), std::byte{0xdd}));
    return 0;
  }
  int sync() noexcept override {
    if (const int error = fail('s')) return error;
    if (disk_->logs) disk_->log.push_back({.kind = MemoryDisk::Record::Kind::sync});
    return 0;
  }
  int resize(std::uint64_t bytes) noexcept override {
    if (bytes > disk_->most_bytes) return EFBIG;
    disk_->bytes.resize(bytes);
    return 0;
  }
  std::uint64_t size() const noexcept override { return disk_->bytes.size(); }
  bool grows() const noexcept override { return true; }
  std::unique_ptr<HostFile> again() const override { return std::make_unique<MemoryFile>(disk_); }

 private:
  int fail(char what) noexcept { return disk_->fault ? disk_->fault(what) : 0; }
  void put(std::uint64_t offset, std::vector<std::byte> bytes) {
    if (offset + bytes.size() > size()) disk_->bytes.resize(offset + bytes.size());
    std::ranges::copy(bytes, disk_->bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    if (disk_->logs) disk_->log.push_back({MemoryDisk::Record::Kind::write, offset, std::move(bytes)});
  }

  std::shared_ptr<MemoryDisk> disk_;
};

}  // namespace warren::vmm::block::qcow2
