// The directory of a pool, and the way to what is in it.
//
// Names come from clients and from whoever can write to the directory. What is opened to be changed or read
// out lies in the directory or below it, whatever links say (openat2(2), RESOLVE_BENEATH); only what a
// listing shows of a link is of what it leads to, wherever that is.
#pragma once

#include <string>
#include <string_view>

#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::storage::backend {

class Directory {
 public:
  // Throws driver::Error if it cannot be opened.
  explicit Directory(std::string path);

  const std::string& path() const { return path_; }
  int get() const { return fd_.get(); }
  std::string path_of(std::string_view name) const { return path_ + "/" + std::string(name); }

  // A file below the directory. Throws driver::Error: NO_STORAGE_VOL for one that is not there.
  vmm::FileDescriptor open(std::string_view name, int flags) const;
  // What is listed: also through links that lead elsewhere. Invalid for what is no volume: pipes, sockets,
  // character devices, dangling links, and what may not be read.
  vmm::FileDescriptor open_listed(const std::string& name) const;

 private:
  std::string path_;
  vmm::FileDescriptor fd_;
};

// Throws driver::Error (OPERATION_INVALID) for what is no name of an entry.
void check_entry_name(std::string_view name);

// A file in the making: it has a name of its own until it is whole, so that whatever stops the work leaves
// nothing that looks like a volume. Its maker holds a lock on it while it lives, by which the next listing
// knows a left-over from work in progress, of other hosts as well.
class PendingFile {
 public:
  PendingFile(const Directory& directory, bool copy_on_write);
  ~PendingFile();
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  int get() const { return file_.get(); }
  // For a tool: this very file, whatever its name leads to by then (proc(5), /proc/PID/fd).
  std::string path() const;
  // Makes it durable under its name. Throws driver::Error: OPERATION_INVALID if there is one already.
  void publish(const std::string& name);

  static bool is_pending_name(std::string_view name);
  // Removes one that nobody works on.
  static void remove_left_over(const Directory& directory, const std::string& name);

 private:
  const Directory& directory_;
  std::string name_;
  vmm::FileDescriptor file_;
};

// FS_NOCOW_FL, where the file system knows it.
void set_no_cow(int file, bool no_cow);

}  // namespace warren::driver::storage::backend
