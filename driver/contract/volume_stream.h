// What the streams of volumes know beyond others: ranges without data, and an end that takes time.
//
// One thread (the loop's), as stream.h.
#pragma once

#include <cstdint>

#include "driver/contract/stream.h"

namespace warren::driver {

// A stream that also knows ranges without data (VIR_STORAGE_VOL_…_SPARSE_STREAM).
class SparseStream : public Stream {
 public:
  // Length of the hole at the reading position, skipped by this call; 0 where there is data or the end, and
  // where that is not known yet: read_some() then says whether to wait.
  virtual std::int64_t read_hole() = 0;
  // Takes a hole of `length` > 0 bytes at the writing position; false means wait_writable() first. Throws
  // Error.
  virtual bool write_hole(std::int64_t length) = 0;
};

// A stream whose finish takes time: what was written has to reach a disk, or an error come back.
class SettlingStream {
 public:
  // To be called before Stream::finish(), until it is true; false means wait_writable() first. Throws Error
  // when the data could not all be used.
  virtual bool settle() = 0;

 protected:
  ~SettlingStream() = default;
};

}  // namespace warren::driver
