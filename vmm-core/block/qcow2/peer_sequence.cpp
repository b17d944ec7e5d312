#include "vmm-core/block/qcow2/peer_sequence.h"

#include <algorithm>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "vmm-core/block/chain.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {

namespace fs = std::filesystem;

void save(const fs::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

std::string range_of(const RandomWork::Step& step) {
  return " " + std::to_string(step.offset) + " " + std::to_string(step.length);
}

// What qemu-io tells while it repairs an image that was left dirty is no complaint.
std::string without_repairs(const std::string& said) {
  static constexpr std::array kBeginnings = {"Leaked cluster", "Repairing ", "ERROR cluster", "Rebuilding "};
  std::string left;
  for (std::size_t at = 0; at < said.size();) {
    const std::size_t end = std::min(said.find('\n', at), said.size() - 1) + 1;
    const std::string line = said.substr(at, end - at);
    // The first of them follows the command.
    const auto is_repair = [&](const char* beginning) { return line.find(beginning) != std::string::npos; };
    if (line != "\n" && std::ranges::none_of(kBeginnings, is_repair)) left += line;
    at = end;
  }
  return left;
}

}  // namespace

void PeerSequence::run_all() {
  SCOPED_TRACE("seed " + std::to_string(seed_));
  const std::size_t layers = work_.one_in(3) ? 1 + work_.below(3) : 0;
  if (layers != 0) {
    ASSERT_NO_FATAL_FAILURE(make_base());
  }
  for (std::size_t i = 1; i < layers; ++i) {
    ASSERT_NO_FATAL_FAILURE(make_image());
    ASSERT_NO_FATAL_FAILURE(work());
    below_.push_back({image_, "qcow2"});
  }
  if (layers > 1) meet("chain of images");
  ASSERT_NO_FATAL_FAILURE(make_image());
  if (work_.one_in(5)) {
    ASSERT_NO_FATAL_FAILURE(bitmap());
  }
  for (int round = 0; round < 3; ++round) {
    ASSERT_NO_FATAL_FAILURE(work());
    if (work_.one_in(5)) {
      ASSERT_NO_FATAL_FAILURE(resize());
    }
    if (work_.one_in(4)) {
      ASSERT_NO_FATAL_FAILURE(die());
    }
    if (work_.one_in(4)) {
      ASSERT_NO_FATAL_FAILURE(compare());
    }
  }
  if (data_.empty() && !has_bitmaps_ && work_.one_in(3)) {
    ASSERT_NO_FATAL_FAILURE(snapshots());
  }
  if (has_bitmaps_) {
    ASSERT_NO_FATAL_FAILURE(expect_bitmap());
  }
  ASSERT_NO_FATAL_FAILURE(judge());
  if (work_.one_in(4)) {
    ASSERT_NO_FATAL_FAILURE(compress());
  }
}

void PeerSequence::peer(const std::vector<std::string>& words) {
  std::string said;
  const int status = run_peer(words, said);
  std::string line;
  for (const std::string& word : words) line += word + " ";
  ASSERT_EQ(status, 0) << line << "\n" << said;
}

void PeerSequence::peer_commands(std::vector<std::string> commands) {
  commands.insert(commands.begin(), "open -d unmap -o driver=qcow2 " + image_);
  commands.push_back("close");
  const std::string complaints = without_repairs(shell_.run(commands));
  std::string all;
  for (const std::string& command : commands) all += command + "; ";
  ASSERT_EQ(complaints, "") << all;
}

// --- Making images ---

void PeerSequence::make_base() {
  const std::uint64_t size = (1 + work_.below(4096)) * 512;
  model_ = pattern(0, size, 0x8000'0000);
  save(path("base.raw"), model_);
  if (work_.one_in(2)) {
    below_.push_back({path("base.raw"), "raw"});
    meet("raw base");
    return;
  }
  // With compressed clusters, sometimes.
  std::vector<std::string> words = {"qemu-img", "convert", "-f", "raw", "-O", "qcow2"};
  if (work_.one_in(2)) {
    const bool zstd = work_.one_in(2);
    words.insert(words.end(), {"-c", "-o", zstd ? "compression_type=zstd" : "compression_type=zlib"});
    meet(zstd ? "base compressed by zstd" : "base compressed by zlib");
  }
  words.insert(words.end(), {path("base.raw"), path("base.qcow2")});
  peer(words);
  below_.push_back({path("base.qcow2"), "qcow2"});
}

void PeerSequence::make_image() {
  options_ = random_options(work_);
  image_ = path("image" + std::to_string(below_.size()));
  data_.clear();
  is_compressed_ = false;
  if (options_.version >= 3 && work_.one_in(8)) {
    data_ = image_ + ".data";
    options_.data_file = data_;
    options_.raw_data_file = below_.empty() && work_.one_in(2);
    meet(options_.raw_data_file ? "external data, raw" : "external data");
  }
  if (!below_.empty())
    options_.backing_file = below_.back().path, options_.backing_format = below_.back().format;
  model_.resize(options_.size);
  if (below_.empty()) model_.assign(options_.size, std::byte{0});
  meet(options_.version == 2 ? "version 2" : "version 3");
  ++met_["clusters of 2^" + std::to_string(options_.cluster_bits)];
  if (options_.version >= 3) ++met_["counts of 2^" + std::to_string(options_.refcount_order) + " bits"];
  if (options_.extended_l2) meet("extended L2");
  if (options_.lazy_refcounts) meet("lazy counts");
  if (ours()) {
    ASSERT_NO_FATAL_FAILURE(make_ours());
  } else {
    ASSERT_NO_FATAL_FAILURE(make_theirs());
  }
}

void PeerSequence::make_ours() {
  meet("made by Warren");
  for (const std::string& name : {image_, data_}) {
    if (!name.empty()) save(name, {});
  }
  create(*host(image_, false), options_, "image");
  if (!below_.empty() || !work_.one_in(6)) return;
  meet("preallocated by Warren");
  open()->preallocate();
}

std::vector<std::string> PeerSequence::creation_options() {
  std::string list = "compat=" + std::string(options_.version == 2 ? "0.10" : "1.1") +
                     ",cluster_size=" + std::to_string(1u << options_.cluster_bits);
  if (options_.version >= 3) {
    list += ",refcount_bits=" + std::to_string(1u << options_.refcount_order);
    list += std::string(",lazy_refcounts=") + (options_.lazy_refcounts ? "on" : "off");
    list += std::string(",extended_l2=") + (options_.extended_l2 ? "on" : "off");
    list += std::string(",compression_type=") + (options_.compression == Compression::zlib ? "zlib" : "zstd");
    if (!data_.empty())
      list += ",data_file=" + data_ + ",data_file_raw=" + (options_.raw_data_file ? "on" : "off");
  }
  if (below_.empty() && !options_.raw_data_file && work_.one_in(4)) {
    static constexpr std::array kKinds = {"metadata", "falloc", "full"};
    const char* kind = kKinds[work_.below(kKinds.size())];
    list += std::string(",preallocation=") + kind;
    ++met_[std::string("preallocated by the peer: ") + kind];
  }
  return {"-o", list};
}

void PeerSequence::make_theirs() {
  meet("made by the peer");
  std::vector<std::string> words = {"qemu-img", "create", "-q", "-f", "qcow2"};
  const auto list = creation_options();
  words.insert(words.end(), list.begin(), list.end());
  if (!below_.empty())
    words.insert(words.end(), {"-b", options_.backing_file, "-F", options_.backing_format});
  words.insert(words.end(), {image_, std::to_string(options_.size)});
  const bool preallocated = list.back().find("preallocation") != std::string::npos;
  ASSERT_NO_FATAL_FAILURE(peer(words));
  if (data_.empty() && !preallocated && work_.one_in(3)) {
    ASSERT_NO_FATAL_FAILURE(compressed_by_peer());
  }
}

// Some clusters of a fresh image; what is compressed later replaces nothing.
void PeerSequence::compressed_by_peer() {
  is_compressed_ = true;
  meet(options_.compression == Compression::zlib ? "clusters compressed by zlib"
                                                 : "clusters compressed by zstd");
  const std::uint64_t cluster = std::uint64_t{1} << options_.cluster_bits;
  const std::uint64_t clusters = model_.size() / cluster;
  std::vector<std::string> commands;
  for (std::uint64_t at = 0, count = 0; at < clusters && count < 24; ++at) {
    if (!work_.one_in(2)) continue;
    const unsigned fill = 1 + static_cast<unsigned>(work_.below(250));
    commands.push_back("write -q -c -P " + std::to_string(fill) + " " + std::to_string(at * cluster) + " " +
                       std::to_string(cluster));
    std::fill_n(model_.begin() + static_cast<std::ptrdiff_t>(at * cluster), cluster,
                static_cast<std::byte>(fill));
    ++count;
  }
  peer_commands(commands);
}

// --- Working on them ---

std::unique_ptr<HostFile> PeerSequence::host(const std::string& name, bool read_only) const {
  FileDescriptor descriptor(::open(name.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
  return std::make_unique<RawFile>(
      std::make_unique<RawImage>(std::move(descriptor), name, RawImageOptions{.read_only = read_only}));
}

std::unique_ptr<Layer> PeerSequence::below(std::size_t count) const {
  if (count == 0) return nullptr;
  const BackingFile& file = below_[count - 1];
  if (file.format == "raw") return std::make_unique<RawLayer>(host(file.path, true));
  const bool external = fs::exists(file.path + ".data");
  return std::make_unique<File>(host(file.path, true), "backing", FileOptions{.read_only = true},
                                external ? host(file.path + ".data", true) : nullptr, below(count - 1));
}

std::unique_ptr<File> PeerSequence::open() const {
  return std::make_unique<File>(host(image_, false), "image", FileOptions{.discard = true},
                                data_.empty() ? nullptr : host(data_, false), below(below_.size()));
}

void PeerSequence::work() {
  if (ours()) {
    ASSERT_NO_FATAL_FAILURE(work_ours());
  } else {
    ASSERT_NO_FATAL_FAILURE(work_theirs());
  }
}

// What a discard leaves is up to who does it: what was there, or zeros.
void PeerSequence::accept_discards(const Bytes& found, const std::vector<bool>& discarded) {
  ASSERT_EQ(found.size(), model_.size());
  for (std::size_t at = 0; at < model_.size(); at += 512) {
    if (!discarded[at / 512] || found[at] != std::byte{0}) continue;
    std::fill_n(model_.begin() + static_cast<std::ptrdiff_t>(at), 512, std::byte{0});
  }
  ASSERT_TRUE(found == model_);
}

void PeerSequence::work_ours() {
  meet("worked on by Warren");
  auto file = open();
  ASSERT_TRUE(whole_disk(*file) == model_) << "read of the peer's work";
  Bytes again(model_.size());
  ASSERT_EQ(read_as_queue(*file, 0, again), 0);
  ASSERT_TRUE(again == model_) << "read as a queue does";
  RandomWork steps(work_.below(1 << 30), model_.size());
  for (int i = 0; i < 12; ++i) {
    const auto step = steps.next();
    ASSERT_EQ(perform_step(*file, step), 0);
    model_step(model_, step);
    if (step.kind != RandomWork::Step::Kind::discard) continue;
    std::vector<bool> discarded(model_.size() / 512);
    std::fill_n(discarded.begin() + static_cast<std::ptrdiff_t>(step.offset / 512), step.length / 512, true);
    ASSERT_NO_FATAL_FAILURE(accept_discards(whole_disk(*file), discarded));
  }
  ASSERT_TRUE(whole_disk(*file) == model_);
  file->close();
}

void PeerSequence::work_theirs() {
  meet("worked on by the peer");
  std::vector<std::string> commands;
  RandomWork steps(work_.below(1 << 30), model_.size());
  std::vector<bool> discarded(model_.size() / 512);
  bool discards = false;
  for (int i = 0; i < 12; ++i) {
    auto step = steps.next();
    using Kind = RandomWork::Step::Kind;
    const unsigned fill = 1 + step.stamp % 250;
    const auto sector = static_cast<std::ptrdiff_t>(step.offset / 512);
    switch (step.kind) {
      case Kind::write:
        commands.push_back("write -q -P " + std::to_string(fill) + range_of(step));
        std::fill_n(model_.begin() + static_cast<std::ptrdiff_t>(step.offset),
                    static_cast<std::ptrdiff_t>(step.length), static_cast<std::byte>(fill));
        std::fill_n(discarded.begin() + sector, step.length / 512, false);
        break;
      case Kind::zero:
      case Kind::zero_unmap:
        commands.push_back(std::string("write -q -z ") + (step.kind == Kind::zero ? "" : "-u ") +
                           range_of(step));
        model_step(model_, step);
        break;
      case Kind::discard:
        commands.push_back("discard -q" + range_of(step));
        std::fill_n(discarded.begin() + sector, step.length / 512, true);
        discards = true;
        break;
      case Kind::flush:
      case Kind::read:
        commands.push_back("flush");
        break;
    }
  }
  ASSERT_NO_FATAL_FAILURE(peer_commands(commands));
  if (discards) {
    ASSERT_NO_FATAL_FAILURE(accept_discards(whole_disk(*open()), discarded));
  }
}

// Of version 2 snapshots do not know their size, and a bitmap fits one size.
void PeerSequence::resize() {
  if (has_bitmaps_ || (has_snapshots_ && options_.version < 3)) return;
  std::uint64_t bytes = (1 + work_.below(options_.cluster_bits < 12 ? 1024 : 6000)) * 512;
  // Version 2 has no clusters of zeros, by which QEMU hides what a backing file has there.
  const bool mine = ours() || (options_.version < 3 && !below_.empty());
  // It leaves what was in the rest of the last cluster when it shrinks a disk, and shows it when that grows.
  const std::uint64_t cluster = std::uint64_t{1} << options_.cluster_bits;
  if (!mine && bytes < model_.size())
    bytes = std::min<std::uint64_t>(round_up(bytes, cluster), model_.size());
  if (mine) {
    open()->resize(bytes);
  } else {
    ASSERT_NO_FATAL_FAILURE(peer_commands({"truncate " + std::to_string(bytes)}));
  }
  if (bytes != model_.size())
    meet(bytes > model_.size() ? (mine ? "grown by Warren" : "grown by the peer")
                               : (mine ? "shrunk by Warren" : "shrunk by the peer"));
  model_.resize(bytes);
}

// An image that is left dirty, as by a kill, is counted anew by whoever opens it next.
void PeerSequence::die() {
  if (!options_.lazy_refcounts || options_.version < 3) return;
  // QEMU itself says of a bitmap that was in use then that it is worth nothing.
  if (has_bitmaps_ || ours()) {
    meet("left dirty by Warren");
    auto file = open();
    RandomWork steps(work_.below(1 << 30), model_.size());
    for (int i = 0; i < 6; ++i) ASSERT_EQ(perform_step(*file, steps.next()), 0);
    ASSERT_EQ(file->flush(), 0);
    model_ = whole_disk(*file);
    fs::copy_file(image_, image_ + ".dead");
    file.reset();
    fs::rename(image_ + ".dead", image_);
  } else {
    meet("left dirty by the peer");
    const auto step = RandomWork(work_.below(1 << 30), model_.size()).next();
    const std::string complaints =
        shell_.run({"open -d unmap -o driver=qcow2 " + image_, "write -q -P 77 " + range_of(step), "flush"});
    ASSERT_EQ(complaints, "");
    shell_.kill();
    std::fill_n(model_.begin() + static_cast<std::ptrdiff_t>(step.offset),
                static_cast<std::ptrdiff_t>(step.length), std::byte{77});
  }
  ASSERT_NO_FATAL_FAILURE(work());
}

// One that records what is written, and one that does not.
void PeerSequence::bitmap() {
  if (options_.version < 3) return;
  ASSERT_NO_FATAL_FAILURE(peer({"qemu-img", "bitmap", "--add", "-g", "65536", image_, "follows"}));
  ASSERT_NO_FATAL_FAILURE(
      peer({"qemu-img", "bitmap", "--add", "--disable", "-g", "65536", image_, "stands"}));
  has_bitmaps_ = true;
  meet("bitmaps");
}

// Neither is lost, nor inconsistent.
void PeerSequence::expect_bitmap() {
  std::string said;
  ASSERT_EQ(run_peer({"qemu-img", "info", "-f", "qcow2", image_}, said), 0) << said;
  ASSERT_NE(said.find("name: follows"), std::string::npos) << said;
  ASSERT_NE(said.find("name: stands"), std::string::npos) << said;
  ASSERT_EQ(said.find("in-use"), std::string::npos) << said;
}

// Taken, applied and deleted by either.
void PeerSequence::snapshots() {
  // Each snapshot counts every cluster once more, and compressed clusters share one.
  if (options_.version >= 3 && options_.refcount_order < (is_compressed_ ? 4u : 2u)) return;
  std::map<std::string, Bytes> kept;
  has_snapshots_ = true;
  const std::uint64_t steps = 2 + work_.below(5);
  for (std::uint64_t i = 0; i < steps; ++i) {
    const bool mine = ours();
    const std::uint64_t choice = work_.below(3);
    if (kept.empty() || (choice == 0 && kept.size() < 3)) {
      const std::string name = "kept" + std::to_string(i);
      meet(mine ? "snapshot by Warren" : "snapshot by the peer");
      if (mine) open()->create_snapshot(name, 1, 2);
      if (!mine) {
        ASSERT_NO_FATAL_FAILURE(peer({"qemu-img", "snapshot", "-c", name, image_}));
      }
      kept[name] = model_;
    } else {
      auto chosen = kept.begin();
      std::advance(chosen, work_.below(kept.size()));
      const bool applies = choice == 1;
      meet(applies ? (mine ? "snapshot applied by Warren" : "snapshot applied by the peer")
                   : (mine ? "snapshot deleted by Warren" : "snapshot deleted by the peer"));
      if (mine && applies) open()->apply_snapshot(chosen->first);
      if (mine && !applies) open()->delete_snapshot(chosen->first);
      if (!mine) {
        ASSERT_NO_FATAL_FAILURE(peer({"qemu-img", "snapshot", applies ? "-a" : "-d", chosen->first, image_}));
      }
      if (applies) {
        model_ = chosen->second;
      } else {
        kept.erase(chosen);
      }
    }
    if (work_.one_in(4)) {
      ASSERT_NO_FATAL_FAILURE(resize());
    }
    ASSERT_NO_FATAL_FAILURE(work());
  }
}

// All of it compressed by the peer, and then written to by us.
void PeerSequence::compress() {
  std::string list = "cluster_size=" + std::to_string(1u << options_.cluster_bits);
  if (options_.version >= 3) {
    list += std::string(",compression_type=") + (options_.compression == Compression::zlib ? "zlib" : "zstd");
    list += std::string(",extended_l2=") + (options_.extended_l2 ? "on" : "off");
  } else {
    list += ",compat=0.10";
  }
  ASSERT_NO_FATAL_FAILURE(
      peer({"qemu-img", "convert", "-c", "-f", "qcow2", "-O", "qcow2", "-o", list, image_, path("packed")}));
  meet("compressed by the peer");
  image_ = path("packed");
  data_.clear();
  below_.clear();
  ASSERT_NO_FATAL_FAILURE(work_ours());
  ASSERT_NO_FATAL_FAILURE(judge());
}

void PeerSequence::check_clean() {
  const CheckResult result = check(*host(image_, true), "image");
  ASSERT_TRUE(result.is_clean()) << messages(result);
  peer({"qemu-img", "check", "-q", "-f", "qcow2", image_});
}

void PeerSequence::compare() {
  save(path("model"), model_);
  peer({"qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", image_, path("model")});
}

void PeerSequence::judge() {
  ASSERT_NO_FATAL_FAILURE(check_clean());
  ASSERT_NO_FATAL_FAILURE(compare());
  ASSERT_TRUE(whole_disk(*open()) == model_);
}

}  // namespace warren::vmm::block::qcow2
