// A disk for the tests of this folder that fails, tears or stops where it is told to.
#pragma once

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "driver/store/file_operations.h"

namespace warren::driver::store {

struct PowerCut {};

// A file system in memory that knows what is on the disk and what is only in the cache: a power cut keeps a
// file's synced content under the names its directory had when that was synced. Any operation can be made
// to fail or to be the last.
class FaultyFileOperations : public FileOperations {
 public:
  struct Node;
  using NodePointer = std::shared_ptr<Node>;
  struct Node {
    bool directory = false;
    std::string link;  // of a symbolic link
    std::string content, durable_content;
    std::map<std::string, NodePointer> entries, durable_entries;
  };

  FaultyFileOperations() { root_->directory = true; }
  // A disk with that on it, all of it for good, found when the machine has started so many times.
  FaultyFileOperations(NodePointer root, int boots) : root_(std::move(root)), boots_(boots) {
    settle(*root_);
  }

  int fail_at = -1;  // the operation, counted from 0, that fails with `error`
  int error = ENOSPC;
  bool fail_for_good = false;  // and all after it
  int cut_at = -1;             // the operation before which the power goes
  std::size_t write_limit = 1 << 20;
  int operations = 0;
  int syncs = 0;

  // What is found after a power cut. `cache_survives`: the kernel wrote everything back just before.
  void restart(bool cache_survives) {
    ++boots_;
    descriptors_.clear();
    if (!cache_survives) revert(*root_);
    fail_at = cut_at = -1;
    fail_for_good = false;
    operations = 0;
  }
  std::size_t open_descriptors() const { return descriptors_.size(); }

  int create(int directory, const std::string& name) override {
    if (const int fault = step()) return fault;
    auto& entries = at(directory).entries;
    if (entries.contains(name)) return -EEXIST;
    entries[name] = std::make_shared<Node>();
    return open(entries[name]);
  }
  int open_read(int directory, const std::string& name) override {
    if (const int fault = step()) return fault;
    return open_existing(directory, name);
  }
  int open_update(int directory, const std::string& name) override { return open_read(directory, name); }
  int open_directory(int directory, const std::string& name) override {
    if (name == "/") return open(root_);
    if (const int fault = step()) return fault;
    return open_existing(directory, name);
  }
  int make_directory(int directory, const std::string& name) override {
    if (const int fault = step()) return fault;
    auto& entries = at(directory).entries;
    if (entries.contains(name)) return -EEXIST;
    entries[name] = std::make_shared<Node>();
    entries[name]->directory = true;
    return 0;
  }
  int close(int fd) override {
    descriptors_.erase(fd);
    return 0;
  }
  std::ptrdiff_t write(int fd, const char* data, std::size_t size) override {
    if (const int fault = step()) return fault;
    size = std::min(size, write_limit);
    at(fd).content.append(data, size);
    return static_cast<std::ptrdiff_t>(size);
  }
  std::ptrdiff_t read(int fd, char* data, std::size_t size) override {
    if (const int fault = step()) return fault;
    std::size_t& offset = descriptors_.at(fd).second;
    const std::string& content = at(fd).content;
    const std::size_t got = content.copy(data, size, offset);
    offset += got;
    return static_cast<std::ptrdiff_t>(got);
  }
  std::ptrdiff_t write_at(int fd, const char* data, std::size_t size, std::size_t offset) override {
    if (const int fault = step()) return fault;
    size = std::min(size, write_limit);
    std::string& content = at(fd).content;
    content.resize(std::max(content.size(), offset + size));
    content.replace(offset, size, data, size);
    return static_cast<std::ptrdiff_t>(size);
  }
  int sync(int fd) override {
    if (const int fault = step()) return fault;
    ++syncs;
    at(fd).durable_content = at(fd).content;
    at(fd).durable_entries = at(fd).entries;
    return 0;
  }
  int sync_data(int fd) override { return sync(fd); }
  int sync_all(int) override {
    if (const int fault = step()) return fault;
    ++syncs;
    settle(*root_);
    return 0;
  }
  std::string boot_identity() override { return "boot " + std::to_string(boots_); }
  int rename(int directory, const std::string& from, const std::string& to) override {
    if (const int fault = step()) return fault;
    auto& entries = at(directory).entries;
    if (!entries.contains(from)) return -ENOENT;
    entries[to] = entries[from];
    entries.erase(from);
    return 0;
  }
  int rename_new(int directory, const std::string& from, const std::string& to) override {
    if (at(directory).entries.contains(to)) return -EEXIST;
    return rename(directory, from, to);
  }
  int unlink(int directory, const std::string& name) override {
    if (const int fault = step()) return fault;
    return at(directory).entries.erase(name) ? 0 : -ENOENT;
  }
  int symlink(const std::string& target, int directory, const std::string& name) override {
    if (const int fault = step()) return fault;
    auto& entries = at(directory).entries;
    if (entries.contains(name)) return -EEXIST;
    entries[name] = std::make_shared<Node>();
    entries[name]->link = target;
    return 0;
  }
  int list(int directory, std::vector<std::string>& names) override {
    if (const int fault = step()) return fault;
    for (const auto& [name, node] : at(directory).entries) names.push_back(name);
    return 0;
  }
  int kind(int directory, const std::string& name) override {
    const auto& entries = at(directory).entries;
    const auto found = entries.find(name);
    if (found == entries.end()) return -ENOENT;
    if (!found->second->link.empty()) return 2;
    return found->second->directory ? 0 : 1;
  }

 protected:
  Node& at(int fd) { return *descriptors_.at(fd).first; }
  const NodePointer& node_of(int fd) const { return descriptors_.at(fd).first; }
  const NodePointer& root() const { return root_; }
  int boots() const { return boots_; }

 private:
  int step() {
    const int number = operations++;
    if (cut_at >= 0 && number >= cut_at) throw PowerCut();
    return number == fail_at || (fail_for_good && fail_at >= 0 && number > fail_at) ? -error : 0;
  }
  int open(NodePointer node) {
    descriptors_[next_] = {std::move(node), 0};
    return next_++;
  }
  int open_existing(int directory, const std::string& name) {
    auto& entries = at(directory).entries;
    const auto found = entries.find(name);
    return found == entries.end() ? -ENOENT : open(found->second);
  }
  static void settle(Node& node) {
    node.durable_content = node.content;
    node.durable_entries = node.entries;
    for (auto& [name, child] : node.entries) settle(*child);
  }
  static void revert(Node& node) {
    node.content = node.durable_content;
    node.entries = node.durable_entries;
    for (auto& [name, child] : node.entries) revert(*child);
  }

  NodePointer root_ = std::make_shared<Node>();
  std::map<int, std::pair<NodePointer, std::size_t>> descriptors_;
  int next_ = 3;
  int boots_ = 0;
};

}  // namespace warren::driver::store
