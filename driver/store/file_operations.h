// The system calls the store is made of, behind a seam so that tests can fail, tear or stop at each of them.
//
// Paths are relative to a directory descriptor; no call follows a symbolic link in its last component. Every
// method reports failure as a negative errno value and does nothing then, but for write(), which may be
// short.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace warren::driver::store {

class FileOperations {
 public:
  virtual ~FileOperations() = default;

  // A new file, mode 0600, close-on-exec; -EEXIST if there is one.
  virtual int create(int directory, const std::string& name) = 0;
  virtual int open_read(int directory, const std::string& name) = 0;
  // For reading and writing what is there.
  virtual int open_update(int directory, const std::string& name) = 0;
  virtual int open_directory(int directory, const std::string& name) = 0;
  // mode 0700.
  virtual int make_directory(int directory, const std::string& name) = 0;
  virtual int close(int fd) = 0;
  virtual std::ptrdiff_t write(int fd, const char* data, std::size_t size) = 0;
  virtual std::ptrdiff_t read(int fd, char* data, std::size_t size) = 0;
  // May be short, as write().
  virtual std::ptrdiff_t write_at(int fd, const char* data, std::size_t size, std::size_t offset) = 0;
  virtual int sync(int fd) = 0;
  // The file's content, when its size has not changed.
  virtual int sync_data(int fd) = 0;
  // All of the file system that the directory is in.
  virtual int sync_all(int directory) = 0;
  virtual int rename(int directory, const std::string& from, const std::string& to) = 0;
  // As rename, but -EEXIST if `to` exists.
  virtual int rename_new(int directory, const std::string& from, const std::string& to) = 0;
  virtual int unlink(int directory, const std::string& name) = 0;
  virtual int symlink(const std::string& target, int directory, const std::string& name) = 0;
  // Names without "." and "..", unordered.
  virtual int list(int directory, std::vector<std::string>& names) = 0;
  // 1 for a regular file, 2 for a symbolic link, 0 for anything else.
  virtual int kind(int directory, const std::string& name) = 0;
  // Another one each time the machine has started; at most 64 bytes.
  virtual std::string boot_identity() = 0;
};

// The real ones. Any thread.
FileOperations& system_file_operations();

}  // namespace warren::driver::store
