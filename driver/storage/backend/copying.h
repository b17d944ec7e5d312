// Data from one volume to another, within this host.
#pragma once

#include <cstdint>

#include "driver/storage/backend/reporter.h"

namespace warren::driver::storage::backend {

struct CopyOrder {
  int source = -1;
  int target = -1;
  std::uint64_t bytes = 0;
  bool must_share = false;  // by reflink or not at all
  bool may_share = false;   // by reflink if that is possible
  bool sparse = false;      // the target reads as zeroes: zeroes need not be written
};

// Throws driver::Error.
void copy_data(const CopyOrder& order, Reporter& reporter);

// Whether all of `length` bytes are zero.
bool is_zero(const void* bytes, std::size_t length) noexcept;

// All of it, at a place. Throws driver::Error.
void write_fully(int file, const void* bytes, std::size_t length, std::uint64_t offset);

}  // namespace warren::driver::storage::backend
