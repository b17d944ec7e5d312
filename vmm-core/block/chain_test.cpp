// Chains of real files, and qcow2 disks through their queues: many requests at once, from several threads, on
// clusters that they share.
#include "vmm-core/block/chain.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm-core/block/qcow2/check.h"
#include "vmm-core/block/qcow2/create.h"
#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/block/qcow2/memory_file.h"
#include "vmm-core/block/raw_file.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block {
namespace {

constexpr std::uint64_t kSector = 512;

FileDescriptor make_file(std::uint64_t bytes = 0) {
  FileDescriptor file(::memfd_create("image", MFD_CLOEXEC));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) throw_errno("memfd");
  return file;
}
std::unique_ptr<RawFile> as_host(const FileDescriptor& file) {
  return std::make_unique<RawFile>(std::make_unique<RawImage>(file.duplicate(), "image", RawImageOptions{}));
}
FileDescriptor make_qcow2(const qcow2::CreateOptions& options) {
  FileDescriptor file = make_file();
  qcow2::create(*as_host(file), options, "image");
  return file;
}
ChainLink link_to(const FileDescriptor& file, ImageFormat format, const char* name = "image") {
  return {.descriptor = file.duplicate(), .name = name, .format = format};
}
std::vector<ChainLink> chain_of(auto&&... links) {
  std::vector<ChainLink> chain;
  (chain.push_back(std::move(links)), ...);
  return chain;
}
std::string refusal(std::vector<ChainLink> links) {
  try {
    open_chain(std::move(links), {});
  } catch (const Error& error) {
    return error.what();
  }
  return "opened";
}

TEST(Chain, RefusesWhatIsNone) {
  const FileDescriptor top = make_qcow2({.size = 1 << 20}), middle = make_qcow2({.size = 1 << 20});
  const FileDescriptor raw = make_file(1 << 20);
  const auto qcow2 = [](const FileDescriptor& file) { return link_to(file, ImageFormat::qcow2, "this"); };
  const auto plain = [](const FileDescriptor& file) { return link_to(file, ImageFormat::raw, "this"); };
  EXPECT_EQ(refusal(chain_of(qcow2(top), qcow2(middle), plain(raw))), "opened");
  EXPECT_NE(refusal(chain_of(qcow2(top), qcow2(middle), qcow2(top))).find("in its own chain"),
            std::string::npos);
  EXPECT_NE(refusal(chain_of(plain(raw), qcow2(middle))).find("a raw image has no backing file"),
            std::string::npos);
  EXPECT_NE(refusal(chain_of(qcow2(top), plain(raw), qcow2(middle))).find("a raw image has no"),
            std::string::npos);
  EXPECT_NE(refusal(chain_of(qcow2(raw))).find("no qcow2 image"), std::string::npos);
  std::vector<ChainLink> deep;
  for (std::size_t i = 0; i <= kMaximumChainDepth; ++i) deep.push_back(plain(raw));
  EXPECT_NE(refusal(std::move(deep)).find("more than 200"), std::string::npos);
}

// T32: what the first bytes say means nothing.
TEST(Chain, T32ARawImageThatLooksLikeQcow2StaysRaw) {
  const FileDescriptor file = make_qcow2({.size = 1 << 20});
  const auto image = open_chain(chain_of(link_to(file, ImageFormat::raw)), {});
  EXPECT_EQ(image->size(), static_cast<std::uint64_t>(::lseek(file.get(), 0, SEEK_END)) / 512 * 512);
}

class Slot final : public Completion {
 public:
  void completed(Request&, int result) noexcept override {
    busy = false;
    error = result;
    if (request.operation == Operation::read) check();
  }
  void check() noexcept {
    // What another slot of the same thread, or of another, does is elsewhere.
    wrong |= error != 0 || std::memcmp(memory.data(), expected.data(), request_bytes) != 0;
  }

  Request request;
  std::array<iovec, 3> ranges{};
  std::vector<char> memory, expected;
  std::size_t request_bytes = 0;
  bool busy = false, wrong = false;
  int error = 0;
};

// A guest's queue: as many requests at once as it holds, each to sectors of its own (those whose number is
// the slot's modulo the slots of all queues), so that slots share clusters and never sectors.
class Guest {
 public:
  Guest(const Image& image, std::vector<char>& model, unsigned index, unsigned guests, std::uint64_t seed)
      : model_(model),
        index_(index),
        guests_(guests),
        random_(seed),
        queue_(image.make_queue(kSlots)),
        slots_(kSlots) {}

  void run(unsigned rounds) {
    for (unsigned round = 0; round < rounds; ++round) {
      for (unsigned i = 0; i < kSlots; ++i) {
        if (!slots_[i].busy && random_() % 4 != 0) begin(i);
      }
      queue_->kick();
      pollfd event{queue_->event_descriptor(), POLLIN, 0};
      ::poll(&event, 1, 1);
      queue_->reap();
    }
    queue_->drain();
    for (const Slot& slot : slots_) EXPECT_FALSE(slot.busy || slot.wrong) << slot.error;
  }

 private:
  static constexpr unsigned kSlots = 16;

  void begin(unsigned i) {
    Slot& slot = slots_[i];
    if (slot.wrong) return;
    // Three sectors of each stride are this slot's.
    const std::uint64_t stride = std::uint64_t{kSlots} * guests_ * 3;
    const std::uint64_t sectors = model_.size() / kSector / stride;
    const std::uint64_t first = (random_() % sectors) * stride + (index_ * kSlots + i) * 3;
    Request& request = slot.request;
    request = Request{};
    request.offset = first * kSector;
    request.length = slot.request_bytes = 3 * kSector;
    request.completion = &slot;
    slot.memory.resize(request.length);
    char* model = model_.data() + request.offset;
    const unsigned kind = static_cast<unsigned>(random_() % 16);
    if (kind < 6) {
      request.operation = Operation::read;
      slot.expected.assign(model, model + request.length);
    } else if (kind < 13) {
      request.operation = Operation::write;
      request.durable = kind == 12;
      const char fill = static_cast<char>(random_());
      std::fill(slot.memory.begin(), slot.memory.end(), fill);
      std::fill_n(model, request.length, fill);
    } else if (kind < 15) {
      request.operation = Operation::write_zeroes;
      request.may_unmap = kind == 14;
      std::fill_n(model, request.length, 0);
    } else {
      request.operation = Operation::flush;
      request.length = request.offset = 0;
    }
    slot.ranges = {
        {{slot.memory.data(), 100}, {slot.memory.data() + 100, 1000}, {slot.memory.data() + 1100, 436}}};
    if (kind < 13) request.ranges = slot.ranges;
    slot.busy = true;
    queue_->submit(request);
  }

  std::vector<char>& model_;
  const unsigned index_, guests_;
  std::mt19937_64 random_;
  std::unique_ptr<BlockQueue> queue_;
  std::vector<Slot> slots_;
};

struct Setting {
  const char* name;
  bool use_io_uring;
  bool backed;
  qcow2::CreateOptions options;
  std::uint64_t cache_bytes = 1 << 20;
  bool copy_on_read = false;
};

class QueueTest : public testing::TestWithParam<Setting> {};

TEST_P(QueueTest, ManyRequestsAtOnceFromTwoThreads) {
  const Setting& setting = GetParam();
  const std::uint64_t size = setting.options.size;
  std::vector<char> model(size);
  const FileDescriptor base = make_file(size / 2), middle = make_qcow2({.size = size}),
                       top = make_qcow2(setting.options);
  std::vector<ChainLink> links;
  links.push_back(link_to(top, ImageFormat::qcow2));
  if (setting.backed) {
    for (std::uint64_t i = 0; i < size / 2; ++i) model[i] = static_cast<char>(i / kSector * 7);
    ASSERT_EQ(::pwrite(base.get(), model.data(), size / 2, 0), static_cast<ssize_t>(size / 2));
    links.push_back(link_to(middle, ImageFormat::qcow2));
    links.push_back(link_to(base, ImageFormat::raw));
  }
  {
    const auto image = open_chain(std::move(links), {.discard = true,
                                                     .copy_on_read = setting.copy_on_read,
                                                     .use_io_uring = setting.use_io_uring,
                                                     .cache_bytes = setting.cache_bytes});
    {
      Guest first(*image, model, 0, 2, 1), second(*image, model, 1, 2, 2);
      std::thread other([&second] { second.run(300); });
      first.run(300);
      other.join();
    }
    Scatter none;
    iovec range{nullptr, size};
    std::vector<char> found(size);
    range.iov_base = found.data();
    Scatter to(std::span<const iovec>(&range, 1));
    ASSERT_EQ(image->chain().front().layer->read(0, size, to), 0);
    EXPECT_TRUE(found == model);
  }
  const auto result = qcow2::check(*as_host(top), "image");
  EXPECT_TRUE(result.is_clean()) << result.corruptions << " corruptions, " << result.leaks << " leaks";
}

// What was read of the files below is the image's own, in every version of the format: it is read without
// them then, and what nobody read is not.
TEST(CopyOnRead, WhatWasReadIsTheImagesOwn) {
  constexpr std::uint64_t kBytes = 1 << 20;
  const FileDescriptor base = make_file(kBytes * 3 / 4);
  std::vector<char> content(kBytes);
  for (std::uint64_t i = 0; i < kBytes / 2; ++i) content[i] = static_cast<char>(i / kSector + 1);
  ASSERT_EQ(::pwrite(base.get(), content.data(), kBytes / 2, 0), static_cast<ssize_t>(kBytes / 2));
  for (const qcow2::CreateOptions& options :
       {qcow2::CreateOptions{.size = kBytes}, qcow2::CreateOptions{.size = kBytes, .version = 2},
        qcow2::CreateOptions{.size = kBytes, .extended_l2 = true}}) {
    const FileDescriptor top = make_qcow2(options);
    {
      const auto image =
          open_chain(chain_of(link_to(top, ImageFormat::qcow2), link_to(base, ImageFormat::raw)),
                     {.copy_on_read = true});
      Slot slot;
      const auto queue = image->make_queue(4);
      using Place = std::pair<std::uint64_t, std::uint64_t>;
      for (const auto& [offset, length] : {Place{70000 / 512 * 512, 1024}, Place{200 << 10, 100 << 10},
                                           Place{kBytes / 2 - 4096, 300 << 10}}) {
        slot.request = Request{};
        slot.request.offset = offset;
        slot.request.length = slot.request_bytes = length;
        slot.memory.resize(length);
        slot.expected.assign(content.begin() + static_cast<std::ptrdiff_t>(offset),
                             content.begin() + static_cast<std::ptrdiff_t>(offset + length));
        slot.ranges[0] = {slot.memory.data(), length};
        slot.request.ranges = std::span(slot.ranges).first(1);
        slot.request.completion = &slot;
        queue->submit(slot.request);
        queue->drain();
        EXPECT_FALSE(slot.wrong) << slot.error;
      }
    }
    qcow2::File alone(as_host(top), "image", {.read_only = true});
    std::vector<char> found(kBytes);
    const iovec range{found.data(), kBytes};
    Scatter to(std::span<const iovec>(&range, 1));
    ASSERT_EQ(alone.read(0, kBytes, to), 0);
    const auto same = [&](std::uint64_t begin, std::uint64_t end) {
      return std::memcmp(found.data() + begin, content.data() + begin, end - begin) == 0;
    };
    EXPECT_TRUE(same(65536, 131072) && same(196608, 327680) && same(kBytes / 2 - 65536, kBytes));
    EXPECT_EQ(std::count(found.begin(), found.begin() + 65536, 0), 65536);
    EXPECT_TRUE(qcow2::check(*as_host(top), "image").is_clean());
  }
}

// T12: a read does not fail for what could not be kept of it.
TEST(CopyOnRead, T12ReadsGoOnWhereNothingCanBeKept) {
  auto top = std::make_shared<qcow2::MemoryDisk>(), base = std::make_shared<qcow2::MemoryDisk>();
  base->bytes.assign(1 << 20, std::byte{7});
  qcow2::MemoryFile file(top);
  qcow2::create(file, {.size = 1 << 20}, "image");
  qcow2::File image(std::make_unique<qcow2::MemoryFile>(top), "image", {.copy_on_read = true}, nullptr,
                    std::make_unique<RawLayer>(std::make_unique<qcow2::MemoryFile>(base)));
  std::vector<char> found(70000);
  const iovec range{found.data(), found.size()};
  const auto read = [&] {
    Scatter to(std::span<const iovec>(&range, 1));
    found.assign(found.size(), 0);
    return image.read(100000, found.size(), to) == 0 && std::ranges::count(found, 7) == 70000;
  };
  top->fault = [](char call) { return call == 'w' ? ENOSPC : 0; };
  EXPECT_TRUE(read());
  top->fault = {};
  EXPECT_TRUE(read());
  // Kept now: what is below is not asked any more.
  base->fault = [](char) { return EIO; };
  EXPECT_TRUE(read());
}

INSTANTIATE_TEST_SUITE_P(
    All, QueueTest,
    testing::Values(
        Setting{"uring", true, false, {.size = 3 << 20}}, Setting{"threads", false, false, {.size = 3 << 20}},
        Setting{"uring_backed", true, true, {.size = 3 << 20, .cluster_bits = 12}},
        Setting{"threads_backed", false, true, {.size = 3 << 20, .cluster_bits = 14, .extended_l2 = true}},
        Setting{"copy_on_read", true, true, {.size = 3 << 20, .cluster_bits = 12}, 1 << 20, true},
        Setting{"copy_on_read_in_parts", false, true, {.size = 3 << 20, .extended_l2 = true}, 1 << 20, true},
        Setting{"copy_on_read_large", true, true, {.size = 3 << 20, .cluster_bits = 20}, 1 << 20, true},
        // Tables come and go all the time.
        Setting{"uring_small_cache", true, true, {.size = 3 << 20, .cluster_bits = 9}, 4096}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace warren::vmm::block
