// The store's system calls without the flushes: for documents that describe running processes.
//
// Live status has to survive the daemon, not the machine: after a power cut there is nothing left for it to
// describe, so an fsync would only make every start and stop wait for a disk.
#pragma once

#include "driver/store/file_operations.h"

namespace warren::driver::domain {

class VolatileFileOperations final : public store::FileOperations {
 public:
  int create(int directory, const std::string& name) override { return real_.create(directory, name); }
  int open_read(int directory, const std::string& name) override { return real_.open_read(directory, name); }
  int open_update(int directory, const std::string& name) override {
    return real_.open_update(directory, name);
  }
  int open_directory(int directory, const std::string& name) override {
    return real_.open_directory(directory, name);
  }
  int make_directory(int directory, const std::string& name) override {
    return real_.make_directory(directory, name);
  }
  int close(int fd) override { return real_.close(fd); }
  std::ptrdiff_t write(int fd, const char* data, std::size_t size) override {
    return real_.write(fd, data, size);
  }
  std::ptrdiff_t read(int fd, char* data, std::size_t size) override { return real_.read(fd, data, size); }
  std::ptrdiff_t write_at(int fd, const char* data, std::size_t size, std::size_t offset) override {
    return real_.write_at(fd, data, size, offset);
  }
  int sync(int) override { return 0; }
  int sync_data(int) override { return 0; }
  int sync_all(int) override { return 0; }
  int rename(int directory, const std::string& from, const std::string& to) override {
    return real_.rename(directory, from, to);
  }
  int rename_new(int directory, const std::string& from, const std::string& to) override {
    return real_.rename_new(directory, from, to);
  }
  int unlink(int directory, const std::string& name) override { return real_.unlink(directory, name); }
  int symlink(const std::string& target, int directory, const std::string& name) override {
    return real_.symlink(target, directory, name);
  }
  int list(int directory, std::vector<std::string>& names) override { return real_.list(directory, names); }
  int kind(int directory, const std::string& name) override { return real_.kind(directory, name); }
  std::string boot_identity() override { return real_.boot_identity(); }

 private:
  store::FileOperations& real_ = store::system_file_operations();
};

}  // namespace warren::driver::domain
