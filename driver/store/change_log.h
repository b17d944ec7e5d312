// The log of a document store: changes that are on the disk before they are in the documents' files, so that
// one sync makes any number of them last.
//
// A file of a fixed size, written over from its start each time it is reset: a sync of it moves no metadata
// of the file system. Native byte order; it does not leave the machine. Records follow the header in order,
// each with the generation of the reset it comes after, and a checksum: the first that does not fit is the
// end. What was reset is in the files for good.
//
// Methods return 0 or a negative errno, as FileOperations do. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "driver/store/file_operations.h"

namespace warren::driver::store {

// What is to become of one document.
struct Change {
  enum class Kind : std::uint32_t { write = 1, remove = 2 };
  Kind kind = Kind::write;
  std::string name;
  std::string text;  // of a write
};

class ChangeLog {
 public:
  static constexpr std::size_t kBytes = 1 << 20;
  static constexpr const char* kFile = ".changes";

  // In `directory`, an open one, which outlives it.
  ChangeLog(FileOperations& operations, int directory) : operations_(operations), directory_(directory) {}
  ChangeLog(const ChangeLog&) = delete;
  ChangeLog& operator=(const ChangeLog&) = delete;
  ~ChangeLog();

  // Reads what there is. `lost` gets, in order, what may not have reached the files: nothing unless the
  // machine has stopped since it was written, for else the kernel has seen to it. It is in use only after a
  // reset().
  int read(std::vector<Change>& lost);
  // Whether there is anything in it since the last reset.
  bool is_empty() const noexcept { return end_ == kFirstRecord; }

  // Makes the file, where there is none, and forgets what is in it. Before that all of it must be in the
  // files for good.
  int reset();
  bool in_use() const noexcept { return in_use_; }
  // Whether there is room for all of them.
  bool has_room(std::span<const Change* const> changes) const noexcept;
  // Adds all of them, for good when it returns 0; none of them when it does not.
  int append(std::span<const Change* const> changes);

 private:
  static constexpr std::size_t kFirstRecord = 4096;

  int make_file();
  int write_at(const std::string& bytes, std::size_t offset);

  FileOperations& operations_;
  const int directory_;
  int file_ = -1;
  bool in_use_ = false;
  std::uint64_t generation_ = 0;
  std::size_t end_ = kFirstRecord;
};

}  // namespace warren::driver::store
