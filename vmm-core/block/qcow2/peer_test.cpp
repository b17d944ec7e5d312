// The same random work as QEMU's own tools do it, on the same images: made by either, worked on by both in
// turn, clean to both, and equal to a plain model (class T10).
//
// PEER_SEQUENCES says how many (100 without it). Needs qemu-img and qemu-io.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm-core/block/chain.h"
#include "vmm-core/block/qcow2/disk_fixture.h"

namespace warren::vmm::block::qcow2 {
namespace {

namespace fs = std::filesystem;

// Runs a program of the peer; its exit status, and what it said.
int run(const std::vector<std::string>& words, std::string& said) {
  std::vector<char*> arguments;
  for (const std::string& word : words)
    arguments.push_back(const_cast<char*>(word.c_str()));  // argv is not const
  arguments.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return -1;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
  pid_t child = -1;
  const int error = ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  said.clear();
  std::array<char, 4096> part{};
  for (ssize_t got; error == 0 && (got = ::read(ends[0], part.data(), part.size())) > 0;)
    said.append(part.data(), static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = -1;
  if (error != 0 || ::waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void save(const fs::path& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

class Sequence {
 public:
  Sequence(std::uint64_t seed, fs::path directory)
      : seed_(seed), work_(seed, 512), directory_(std::move(directory)) {}

  void run_all() {
    options_ = random_options(work_);
    backed_ = work_.one_in(3);
    external_ = options_.version >= 3 && work_.one_in(6);
    if (external_) options_.data_file = path("data"), options_.raw_data_file = !backed_ && work_.one_in(2);
    model_.resize(options_.size);
    make_base();
    ASSERT_NO_FATAL_FAILURE(make_image());
    for (int round = 0; round < 3; ++round) {
      ASSERT_NO_FATAL_FAILURE(work_.one_in(2) ? ours() : theirs()) << "seed " << seed_;
    }
    if (!external_ && work_.one_in(3)) {
      ASSERT_NO_FATAL_FAILURE(snapshots()) << "seed " << seed_;
    }
    if (!external_ && work_.one_in(3)) {
      ASSERT_NO_FATAL_FAILURE(compress()) << "seed " << seed_;
    }
    ASSERT_NO_FATAL_FAILURE(judge());
  }

 private:
  std::string path(const char* name) const { return directory_ / name; }

  void peer(const std::vector<std::string>& words) {
    std::string said;
    const int status = run(words, said);
    std::string line;
    for (const std::string& word : words) line += word + " ";
    ASSERT_EQ(status, 0) << "seed " << seed_ << ": " << line << "\n" << said;
  }

  void make_base() {
    if (!backed_) return;
    const std::uint64_t size = (1 + work_.below(options_.size / 512 + 64)) * 512;
    const Bytes base = pattern(0, size, 0x8000'0000);
    save(path("base.raw"), base);
    std::copy_n(base.begin(), std::min(size, options_.size), model_.begin());
    options_.backing_file = path("base.raw");
    options_.backing_format = "raw";
    base_is_qcow2_ = work_.one_in(2);
    if (!base_is_qcow2_) return;
    // With compressed clusters, sometimes.
    std::vector<std::string> words = {"qemu-img", "convert", "-f", "raw", "-O", "qcow2"};
    if (work_.one_in(2))
      words.insert(words.end(),
                   {"-c", "-o", work_.one_in(2) ? "compression_type=zstd" : "compression_type=zlib"});
    words.insert(words.end(), {path("base.raw"), path("base.qcow2")});
    peer(words);
    options_.backing_file = path("base.qcow2");
    options_.backing_format = "qcow2";
  }

  void make_image() {
    if (work_.one_in(2)) {
      FileDescriptor descriptor(::open(path("image").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
      RawFile file(std::make_unique<RawImage>(std::move(descriptor), "image", RawImageOptions{}));
      create(file, options_, "image");
      if (external_) save(path("data"), {});
      return;
    }
    std::string list = "compat=" + std::string(options_.version == 2 ? "0.10" : "1.1") +
                       ",cluster_size=" + std::to_string(1u << options_.cluster_bits);
    if (options_.version >= 3) {
      list += ",refcount_bits=" + std::to_string(1u << options_.refcount_order);
      list += std::string(",lazy_refcounts=") + (options_.lazy_refcounts ? "on" : "off");
      list += std::string(",extended_l2=") + (options_.extended_l2 ? "on" : "off");
      list +=
          std::string(",compression_type=") + (options_.compression == Compression::zlib ? "zlib" : "zstd");
      if (external_)
        list +=
            ",data_file=" + options_.data_file + ",data_file_raw=" + (options_.raw_data_file ? "on" : "off");
      if (!backed_ && !options_.raw_data_file && work_.one_in(4)) list += ",preallocation=metadata";
    }
    std::vector<std::string> words = {"qemu-img", "create", "-q", "-f", "qcow2", "-o", list};
    if (backed_) words.insert(words.end(), {"-b", options_.backing_file, "-F", options_.backing_format});
    words.insert(words.end(), {path("image"), std::to_string(options_.size)});
    peer(words);
  }

  std::unique_ptr<RawFile> host(const std::string& name, bool read_only) {
    FileDescriptor descriptor(::open(name.c_str(), (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC));
    return std::make_unique<RawFile>(
        std::make_unique<RawImage>(std::move(descriptor), name, RawImageOptions{.read_only = read_only}));
  }

  std::unique_ptr<File> open() {
    std::unique_ptr<Layer> below;
    if (backed_ && base_is_qcow2_) {
      below =
          std::make_unique<File>(host(options_.backing_file, true), "base", FileOptions{.read_only = true});
    } else if (backed_) {
      below = std::make_unique<RawLayer>(host(options_.backing_file, true));
    }
    return std::make_unique<File>(host(path("image"), false), "image", FileOptions{.discard = true},
                                  external_ ? host(path("data"), false) : nullptr, std::move(below));
  }

  void ours() {
    auto file = open();
    ASSERT_TRUE(whole_disk(*file) == model_) << "seed " << seed_ << ": read of the peer's work";
    RandomWork steps(work_.below(1 << 30), options_.size);
    for (int i = 0; i < 12; ++i) {
      const auto step = steps.next();
      ASSERT_EQ(perform_step(*file, step), 0);
      model_step(model_, step);
      if (step.kind == RandomWork::Step::Kind::discard) model_ = whole_disk(*file);
    }
    ASSERT_TRUE(whole_disk(*file) == model_) << "seed " << seed_;
    file->close();
  }

  void theirs() {
    std::vector<std::string> words = {"qemu-io", "-d", "unmap", "-f", "qcow2"};
    RandomWork steps(work_.below(1 << 30), options_.size);
    bool discards = false;
    for (int i = 0; i < 12; ++i) {
      const auto step = steps.next();
      const std::string range = " " + std::to_string(step.offset) + " " + std::to_string(step.length);
      using Kind = RandomWork::Step::Kind;
      const unsigned fill = 1 + step.stamp % 250;
      switch (step.kind) {
        case Kind::write:
          words.insert(words.end(), {"-c", "write -q -P " + std::to_string(fill) + range});
          std::fill_n(model_.begin() + static_cast<std::ptrdiff_t>(step.offset),
                      static_cast<std::ptrdiff_t>(step.length), static_cast<std::byte>(fill));
          break;
        case Kind::zero:
        case Kind::zero_unmap:
          words.insert(words.end(),
                       {"-c", std::string("write -q -z ") + (step.kind == Kind::zero ? "" : "-u ") + range});
          model_step(model_, step);
          break;
        case Kind::discard:
          words.insert(words.end(), {"-c", "discard -q" + range});
          discards = true;
          break;
        case Kind::flush:
        case Kind::read:
          words.insert(words.end(), {"-c", "flush"});
          break;
      }
    }
    words.push_back(path("image"));
    peer(words);
    // What a discard leaves is the peer's to say; it says it by a raw copy.
    if (!discards) return;
    std::string said;
    peer({"qemu-img", "convert", "-f", "qcow2", "-O", "raw", path("image"), path("told")});
    std::ifstream told(path("told"), std::ios::binary);
    told.read(reinterpret_cast<char*>(model_.data()), static_cast<std::streamsize>(model_.size()));
  }

  // Taken by one, applied by the other.
  void snapshots() {
    if (options_.refcount_order < 2) return;
    const Bytes then = model_;
    if (work_.one_in(2)) {
      open()->create_snapshot("kept", 1, 2);
    } else {
      peer({"qemu-img", "snapshot", "-c", "kept", path("image")});
    }
    ASSERT_NO_FATAL_FAILURE(work_.one_in(2) ? ours() : theirs());
    ASSERT_NO_FATAL_FAILURE(check_clean());
    if (work_.one_in(2)) {
      open()->apply_snapshot("kept");
    } else {
      peer({"qemu-img", "snapshot", "-a", "kept", path("image")});
    }
    model_ = then;
    ASSERT_NO_FATAL_FAILURE(work_.one_in(2) ? ours() : theirs());
    if (work_.one_in(2)) return;
    if (work_.one_in(2)) {
      open()->delete_snapshot("kept");
    } else {
      peer({"qemu-img", "snapshot", "-d", "kept", path("image")});
    }
  }

  // All of it compressed by the peer, and then written to by us.
  void compress() {
    if (options_.extended_l2) return;
    std::string list = "cluster_size=" + std::to_string(1u << options_.cluster_bits);
    if (options_.version >= 3)
      list +=
          std::string(",compression_type=") + (options_.compression == Compression::zlib ? "zlib" : "zstd");
    if (options_.version == 2) list += ",compat=0.10";
    peer({"qemu-img", "convert", "-c", "-f", "qcow2", "-O", "qcow2", "-o", list, path("image"),
          path("packed")});
    fs::rename(path("packed"), path("image"));
    backed_ = false;
    ASSERT_NO_FATAL_FAILURE(ours());
  }

  void check_clean() {
    peer({"qemu-img", "check", "-q", "-f", "qcow2", path("image")});
    const CheckResult result = check(*host(path("image"), true), "image");
    ASSERT_TRUE(result.is_clean()) << "seed " << seed_ << ": " << messages(result);
  }

  void judge() {
    ASSERT_NO_FATAL_FAILURE(check_clean());
    save(path("model"), model_);
    peer({"qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", path("image"), path("model")});
    ASSERT_TRUE(whole_disk(*open()) == model_) << "seed " << seed_;
  }

  const std::uint64_t seed_;
  RandomWork work_;
  const fs::path directory_;
  CreateOptions options_;
  bool backed_ = false, base_is_qcow2_ = false, external_ = false;
  Bytes model_;
};

TEST(Qcow2Peer, T10BothDoTheSameOnTheSameImages) {
  std::string said;
  ASSERT_EQ(run({"qemu-img", "--version"}, said), 0) << "this needs Debian's qemu-utils";
  const char* wanted = std::getenv("PEER_SEQUENCES");
  const char* from = std::getenv("PEER_FIRST");
  const std::uint64_t sequences = wanted != nullptr ? std::strtoul(wanted, nullptr, 10) : 100;
  const std::uint64_t first = from != nullptr ? std::strtoul(from, nullptr, 10) : 1;
  std::string pattern_name =
      (fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path().string()) + "/qcow2-peer-XXXXXX";
  const fs::path root = ::mkdtemp(pattern_name.data());
  for (std::uint64_t seed = first; seed < first + sequences && !HasFailure(); ++seed) {
    const fs::path directory = root / std::to_string(seed);
    fs::create_directory(directory);
    Sequence(seed, directory).run_all();
    if (!HasFailure()) fs::remove_all(directory);
  }
  if (!HasFailure()) fs::remove_all(root);
}

}  // namespace
}  // namespace warren::vmm::block::qcow2
