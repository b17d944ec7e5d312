// A disk for the tests of this folder that keeps a log of all that is done to it, and tells what may be found
// on it when the power goes at any moment of that.
//
// What is promised of it is what POSIX and every file system promise: a file's content lasts from a sync of
// the file on, a directory's entries from a sync of the directory on. Before that any sector of what was
// written may be there or not, and of each directory the first of its changes: file systems keep the order of
// those.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "driver/store/faulty_file_operations.h"

namespace warren::driver::store {

class RecordingFileOperations final : public FaultyFileOperations {
 public:
  static constexpr std::size_t kSector = 512;

  struct Effect {
    enum class Kind : std::uint8_t { write, entries, sync, sync_all } kind = Kind::write;
    NodePointer node;        // of the file or directory
    std::size_t offset = 0;  // of a write
    std::string data;
    std::vector<std::pair<std::string, NodePointer>> entries;  // a null one is gone
  };

  RecordingFileOperations() { begin(); }
  RecordingFileOperations(NodePointer root, int boots) : FaultyFileOperations(std::move(root), boots) {
    begin();
  }

  const std::vector<Effect>& log() const { return log_; }

  // What became of an effect that was not synced.
  struct Choice {
    std::function<bool(std::size_t effect, std::size_t sector)> keeps_sector;
    std::function<bool(std::size_t effect)> keeps_entries;
  };
  // The disk after the first `count` effects, and a start of the machine. The caller owns it whole.
  struct Found {
    NodePointer root;
    int boots;
  };
  Found cut(std::size_t count, const Choice& choice) const {
    std::map<const Node*, NodePointer> copies;
    for (const auto& [node, first] : before_) {
      NodePointer copy = copy_of(*node, copies);
      copy->content = first.first;
      for (const auto& [name, child] : first.second) copy->entries[name] = copy_of(*child, copies);
    }
    std::map<const Node*, bool> stopped;  // directories of which a change is missing
    const std::vector<bool> lasts = lasting(count);
    for (std::size_t i = 0; i < count; ++i) {
      const Effect& effect = log_[i];
      if (effect.kind == Effect::Kind::write) {
        apply(effect, *copy_of(*effect.node, copies),
              [&](std::size_t sector) { return lasts[i] || choice.keeps_sector(i, sector); });
      } else if (effect.kind == Effect::Kind::entries) {
        bool& missing = stopped[effect.node.get()];
        missing = missing || (!lasts[i] && !choice.keeps_entries(i));
        if (!missing) apply(effect, *copy_of(*effect.node, copies), copies);
      }
    }
    return {copy_of(*root(), copies), boots() + 1};
  }

  int create(int directory, const std::string& name) override {
    const int result = FaultyFileOperations::create(directory, name);
    return result < 0 ? result : (note_entry(directory, name), result);
  }
  int make_directory(int directory, const std::string& name) override {
    const int result = FaultyFileOperations::make_directory(directory, name);
    return result < 0 ? result : (note_entry(directory, name), result);
  }
  int symlink(const std::string& target, int directory, const std::string& name) override {
    const int result = FaultyFileOperations::symlink(target, directory, name);
    return result < 0 ? result : (note_entry(directory, name), result);
  }
  std::ptrdiff_t write(int fd, const char* data, std::size_t size) override {
    const std::size_t offset = at(fd).content.size();
    return note_write(fd, data, offset, FaultyFileOperations::write(fd, data, size));
  }
  std::ptrdiff_t write_at(int fd, const char* data, std::size_t size, std::size_t offset) override {
    return note_write(fd, data, offset, FaultyFileOperations::write_at(fd, data, size, offset));
  }
  int sync(int fd) override {
    const int result = FaultyFileOperations::sync(fd);
    if (result == 0) log_.push_back({.kind = Effect::Kind::sync, .node = node_of(fd)});
    return result;
  }
  int sync_data(int fd) override { return sync(fd); }
  int sync_all(int fd) override {
    const int result = FaultyFileOperations::sync_all(fd);
    if (result == 0) log_.push_back({.kind = Effect::Kind::sync_all});
    return result;
  }
  int rename(int directory, const std::string& from, const std::string& to) override {
    const int result = FaultyFileOperations::rename(directory, from, to);
    if (result == 0)
      log_.push_back({.kind = Effect::Kind::entries,
                      .node = node_of(directory),
                      .entries = {{to, at(directory).entries.at(to)}, {from, nullptr}}});
    return result;
  }
  int unlink(int directory, const std::string& name) override {
    const int result = FaultyFileOperations::unlink(directory, name);
    if (result == 0)
      log_.push_back(
          {.kind = Effect::Kind::entries, .node = node_of(directory), .entries = {{name, nullptr}}});
    return result;
  }

 private:
  using Content = std::pair<std::string, std::map<std::string, NodePointer>>;

  void begin() { remember(root()); }
  void remember(const NodePointer& node) {
    before_[node] = {node->content, node->entries};
    for (const auto& [name, child] : node->entries) remember(child);
  }
  void note_entry(int directory, const std::string& name) {
    log_.push_back({.kind = Effect::Kind::entries,
                    .node = node_of(directory),
                    .entries = {{name, at(directory).entries.at(name)}}});
  }
  std::ptrdiff_t note_write(int fd, const char* data, std::size_t offset, std::ptrdiff_t written) {
    if (written > 0)
      log_.push_back({.node = node_of(fd),
                      .offset = offset,
                      .data = std::string(data, static_cast<std::size_t>(written))});
    return written;
  }

  // Which of the first `count` effects a later sync among them has made last.
  std::vector<bool> lasting(std::size_t count) const {
    std::vector<bool> lasts(count);
    std::map<const Node*, bool> synced;
    bool all = false;
    for (std::size_t i = count; i-- > 0;) {
      const Effect& effect = log_[i];
      if (effect.kind == Effect::Kind::sync_all) all = true;
      if (effect.kind == Effect::Kind::sync) synced[effect.node.get()] = true;
      lasts[i] = all || (effect.node && synced.contains(effect.node.get()));
    }
    return lasts;
  }

  static NodePointer copy_of(const Node& node, std::map<const Node*, NodePointer>& copies) {
    NodePointer& copy = copies[&node];
    if (copy) return copy;
    copy = std::make_shared<Node>();
    copy->directory = node.directory;
    copy->link = node.link;
    return copy;
  }
  static void apply(const Effect& effect, Node& node, const std::function<bool(std::size_t)>& keeps) {
    const std::size_t end = effect.offset + effect.data.size();
    for (std::size_t at = effect.offset, next; at < end; at = next) {
      next = std::min(end, at / kSector * kSector + kSector);
      if (!keeps(at / kSector)) continue;
      node.content.resize(std::max(node.content.size(), next));
      node.content.replace(at, next - at, effect.data, at - effect.offset, next - at);
    }
  }
  static void apply(const Effect& effect, Node& directory, std::map<const Node*, NodePointer>& copies) {
    for (const auto& [name, child] : effect.entries) {
      if (child) {
        directory.entries[name] = copy_of(*child, copies);
      } else {
        directory.entries.erase(name);
      }
    }
  }

  std::map<NodePointer, Content> before_;
  std::vector<Effect> log_;
};

}  // namespace warren::driver::store
