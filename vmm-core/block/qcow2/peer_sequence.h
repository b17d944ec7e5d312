// For tests: one random life of an image under the hands of both, Warren and QEMU's tools.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vmm-core/block/qcow2/disk_fixture.h"
#include "vmm-core/block/qcow2/peer_program.h"

namespace warren::vmm::block::qcow2 {

class PeerSequence {
 public:
  // Images lie in `directory`. `met` counts what comes to pass.
  PeerSequence(std::uint64_t seed, std::filesystem::path directory, PeerShell& shell,
               std::map<std::string, std::uint64_t>& met)
      : seed_(seed), work_(seed, 512), directory_(std::move(directory)), shell_(shell), met_(met) {}

  // Fails by GoogleTest's assertions, with the seed.
  void run_all();

 private:
  struct BackingFile {
    std::string path, format;
  };

  std::string path(const std::string& name) const { return directory_ / name; }
  void meet(const char* what) { ++met_[what]; }
  bool ours() { return work_.one_in(2); }  // whose turn it is
  void peer(const std::vector<std::string>& words);
  void peer_commands(std::vector<std::string> commands);

  // Making images: a chain of them, each worked on before the next is put on it.
  void make_base();
  void make_image();
  void make_ours();
  void make_theirs();
  std::vector<std::string> creation_options();
  void compressed_by_peer();

  std::unique_ptr<HostFile> host(const std::string& name, bool read_only) const;
  std::unique_ptr<Layer> below(std::size_t count) const;
  std::unique_ptr<File> open() const;

  // Working on the last of them.
  void work();
  void work_ours();
  void work_theirs();
  void accept_discards(const Bytes& found, const std::vector<bool>& discarded);
  void resize();
  void die();
  void bitmap();
  void expect_bitmap();
  void snapshots();
  void compress();
  void check_clean();
  void compare();
  void judge();

  const std::uint64_t seed_;
  RandomWork work_;
  const std::filesystem::path directory_;
  PeerShell& shell_;
  std::map<std::string, std::uint64_t>& met_;
  CreateOptions options_;
  std::vector<BackingFile> below_;
  std::string image_, data_;  // paths; `data_` of an image with its data in another file
  bool has_bitmaps_ = false, has_snapshots_ = false, is_compressed_ = false;
  Bytes model_;
};

}  // namespace warren::vmm::block::qcow2
