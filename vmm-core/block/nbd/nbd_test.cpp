// Disks on NBD servers: what of qemu-nbd, and what of servers that do wrong (class T29).
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "vmm-core/block/chain.h"
#include "vmm-core/block/nbd/fake_server.h"
#include "vmm-core/block/nbd/file.h"
#include "vmm-core/os/error.h"
#include "vmm-core/sandbox/filter.h"
#include "vmm-core/sandbox/probe.h"

namespace warren::vmm::block::nbd {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;
using Buffer = std::vector<std::uint8_t>;

Buffer pattern(std::size_t size, unsigned seed) {
  Buffer bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i / 7 + i * seed + seed);
  return bytes;
}

// Keeps what requests ended with.
class Results final : public Completion {
 public:
  void completed(Request& request, int error) noexcept override {
    ended.push_back(&request);
    errors.push_back(error);
  }
  std::vector<Request*> ended;
  std::vector<int> errors;
};

struct Tried {
  Request request;
  std::vector<iovec> ranges;
};

// A request of `sizes` bytes in ranges, in `memory`.
void prepare(Tried& tried, Operation operation, std::uint64_t offset, Buffer& memory,
             const std::vector<std::size_t>& sizes, Results& results) {
  std::size_t at = 0;
  for (const std::size_t size : sizes) {
    tried.ranges.push_back({memory.data() + at, size});
    at += size;
  }
  tried.request.operation = operation;
  tried.request.offset = offset;
  tried.request.length = at;
  tried.request.ranges = tried.ranges;
  tried.request.completion = &results;
}

int perform(BlockQueue& queue, Operation operation, std::uint64_t offset, Buffer& memory,
            const std::vector<std::size_t>& sizes, bool durable = false) {
  Results results;
  Tried tried;
  prepare(tried, operation, offset, memory, sizes, results);
  tried.request.durable = durable;
  queue.submit(tried.request);
  queue.drain();
  return results.errors.at(0);
}

int perform_bare(BlockQueue& queue, Operation operation, std::uint64_t offset, std::uint64_t length,
                 bool may_unmap = false) {
  Results results;
  Request request;
  request.operation = operation;
  request.offset = offset;
  request.length = length;
  request.may_unmap = may_unmap;
  request.completion = &results;
  queue.submit(request);
  queue.drain();
  return results.errors.at(0);
}

std::shared_ptr<Connection> connect(FakeServer& server, ConnectionOptions options = {}) {
  return std::make_shared<Connection>(server.take_socket(), "disk vda", std::move(options));
}

std::string refusal(FakeServer& server, ConnectionOptions options = {}) {
  try {
    connect(server, std::move(options));
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

// --- Requests ---

TEST(NbdQueue, ReadsWhatItWroteInRangesOfAnySize) {
  FakeServer server(FakeServer::Export{});
  {
    File file(connect(server));
    auto queue = file.make_queue(4);
    Buffer out = pattern(200'704, 3), in(out.size());
    EXPECT_EQ(perform(*queue, Operation::write, 4096, out, {512, 1, 0, 4095, 131'072, 65'024}), 0);
    EXPECT_EQ(perform(*queue, Operation::read, 4096, in, {70'000, 30'000, 100'704}), 0);
    EXPECT_EQ(in, out);
  }
}

TEST(NbdQueue, ServesMoreRequestsThanItHasBuffers) {
  FakeServer server(FakeServer::Export{});
  File file(connect(server));
  auto queue = file.make_queue(64);
  Results results;
  std::vector<Tried> tried(64);
  std::vector<Buffer> memory(64);
  for (unsigned i = 0; i < 64; ++i) {
    memory[i] = pattern(4096, i);
    prepare(tried[i], Operation::write, i * 4096, memory[i], {1000, 3096}, results);
    queue->submit(tried[i].request);
  }
  queue->kick();
  while (results.errors.size() < 64) {
    pollfd event{queue->event_descriptor(), POLLIN, 0};
    ASSERT_EQ(::poll(&event, 1, 10'000), 1);
    queue->reap();
  }
  EXPECT_THAT(results.errors, testing::Each(0));
  Buffer all(64 * 4096);
  EXPECT_EQ(perform(*queue, Operation::read, 0, all, {all.size()}), 0);
  for (unsigned i = 0; i < 64; ++i)
    EXPECT_TRUE(std::equal(memory[i].begin(), memory[i].end(), &all[i * 4096]));
}

TEST(NbdQueue, KeepsToTheMostThatTheServerTakesAtATime) {
  FakeServer server(FakeServer::Export{.minimum = 512, .maximum = 65'536});
  File file(connect(server));
  auto queue = file.make_queue(1);
  Buffer out = pattern(1 << 20, 5), in(out.size());
  EXPECT_EQ(perform(*queue, Operation::write, 0, out, {out.size()}), 0);
  EXPECT_EQ(perform(*queue, Operation::read, 0, in, {in.size()}), 0);
  EXPECT_EQ(in, out);
  EXPECT_TRUE(std::ranges::all_of(server.asked(), [](const auto& one) { return one.length <= 65'536; }));
}

TEST(NbdQueue, AsksForWhatAGuestAsksFor) {
  FakeServer server(FakeServer::Export{});
  {
    File file(connect(server));
    auto queue = file.make_queue(1);
    Buffer sector(512, 1);
    EXPECT_EQ(perform_bare(*queue, Operation::flush, 0, 0), 0);
    EXPECT_EQ(perform(*queue, Operation::write, 0, sector, {512}, true), 0);
    EXPECT_EQ(perform_bare(*queue, Operation::write_zeroes, 512, 1024), 0);
    EXPECT_EQ(perform_bare(*queue, Operation::write_zeroes, 1536, 1024, true), 0);
    EXPECT_EQ(perform_bare(*queue, Operation::discard, 4096, 8192), 0);
  }
  const auto& asked = server.asked();
  ASSERT_EQ(asked.size(), 5U);
  EXPECT_EQ(asked[0].command, FakeServer::kFlush);
  EXPECT_EQ(asked[1].command, FakeServer::kWrite);
  EXPECT_EQ(asked[1].flags, 1);  // FUA
  EXPECT_EQ(asked[2].command, FakeServer::kZeroes);
  EXPECT_EQ(asked[2].flags, 2);  // NO_HOLE
  EXPECT_EQ(asked[3].flags, 0);
  EXPECT_EQ(asked[4].command, FakeServer::kTrim);
  EXPECT_EQ(asked[4].offset, 4096U);
  EXPECT_EQ(asked[4].length, 8192U);
}

TEST(NbdQueue, DoesWithoutWhatTheServerDoesNotOffer) {
  FakeServer server(FakeServer::Export{.flags = FakeServer::kHasFlags | FakeServer::kSendFlush});
  {
    File file(connect(server));
    auto queue = file.make_queue(1);
    Buffer sector(512, 1), zeroed(1024, 7);
    EXPECT_EQ(perform(*queue, Operation::write, 1024, sector, {512}, true), 0);
    EXPECT_EQ(perform_bare(*queue, Operation::write_zeroes, 1024, 200'704), 0);
    EXPECT_EQ(perform_bare(*queue, Operation::discard, 0, 4096), 0);
    EXPECT_EQ(perform(*queue, Operation::read, 1024, zeroed, {1024}), 0);
    EXPECT_EQ(zeroed, Buffer(1024, 0));
  }
  EXPECT_EQ(server.asked().at(1).command, FakeServer::kFlush);  // in FUA's place
  EXPECT_TRUE(std::ranges::none_of(server.asked(), [](const auto& one) {
    return one.command == FakeServer::kZeroes || one.command == FakeServer::kTrim;
  }));
}

TEST(NbdQueue, SyncsNothingWhenItIsNotTo) {
  FakeServer server(FakeServer::Export{});
  {
    File file(connect(server, {.sync = false}));
    auto queue = file.make_queue(1);
    Buffer sector(512, 1);
    EXPECT_EQ(perform_bare(*queue, Operation::flush, 0, 0), 0);
    EXPECT_EQ(perform(*queue, Operation::write, 0, sector, {512}, true), 0);
  }
  ASSERT_EQ(server.asked().size(), 1U);
  EXPECT_EQ(server.asked()[0].flags, 0);
}

TEST(NbdFile, KeepsToTheExport) {
  FakeServer server(FakeServer::Export{});
  File file(connect(server));
  Buffer sector = pattern(512, 9), read(512);
  iovec from{sector.data(), sector.size()}, to{read.data(), read.size()};
  EXPECT_EQ(file.write((1 << 20) - 512, {&from, 1}), 0);
  EXPECT_EQ(file.read((1 << 20) - 512, {&to, 1}), 0);
  EXPECT_EQ(read, sector);
  from = {sector.data(), sector.size()};
  EXPECT_EQ(file.write(1 << 20, {&from, 1}), ENOSPC);
  EXPECT_EQ(file.zero(512, UINT64_MAX, true), ENOSPC);
  EXPECT_EQ(file.sync(), 0);
  EXPECT_EQ(file.resize(1 << 20), 0);
  EXPECT_EQ(file.resize(1 << 21), ENOTSUP);
}

TEST(NbdChain, IsADisk) {
  FakeServer server(FakeServer::Export{.size = 10'000});
  std::vector<ChainLink> links(1);
  links[0].descriptor = server.take_socket();
  links[0].name = "disk vda";
  links[0].nbd = NbdExport{"data"};
  auto image = open_chain(std::move(links), {});
  EXPECT_EQ(image->size(), 9'728U);  // whole sectors
  EXPECT_THROW(image->resize(1 << 20), Error);
  auto queue = image->make_queue(1);
  Buffer out = pattern(512, 1), in(512);
  EXPECT_EQ(perform(*queue, Operation::write, 512, out, {512}), 0);
  EXPECT_EQ(perform(*queue, Operation::read, 512, in, {512}), 0);
  EXPECT_EQ(in, out);
}

// --- What a server may be ---

TEST(NbdHandshake, RefusesWhatCannotBeTheDisk) {
  FakeServer read_only(FakeServer::Export{.flags = FakeServer::kHasFlags | FakeServer::kReadOnly});
  EXPECT_THAT(refusal(read_only), HasSubstr("read-only; a disk on it is <readonly/>"));
  FakeServer read_only_too(FakeServer::Export{.flags = FakeServer::kHasFlags | FakeServer::kReadOnly});
  EXPECT_EQ(refusal(read_only_too, {.read_only = true}), "none");
  FakeServer coarse(FakeServer::Export{.minimum = 4096, .maximum = 65'536});
  EXPECT_THAT(refusal(coarse), HasSubstr("wants blocks of 4096 bytes, and the disk's are 512"));
  FakeServer coarse_too(FakeServer::Export{.minimum = 4096, .maximum = 65'536});
  EXPECT_EQ(refusal(coarse_too, {.block_size = 4096}), "none");
}

TEST(NbdHandshake, RefusesSizesThatNoDiskHas) {
  for (const std::uint64_t size :
       {std::uint64_t{0}, std::uint64_t{511}, std::uint64_t{1} << 63, UINT64_MAX}) {
    FakeServer server(FakeServer::Export{.size = size});
    EXPECT_NE(refusal(server), "none") << size;
  }
}

TEST(NbdHandshake, RefusesServersThatAreNone) {
  FakeServer gone([](FakeServer&) {});
  EXPECT_THAT(refusal(gone, {.export_name = "data"}), HasSubstr("disk vda: NBD export 'data': "));
  FakeServer brief([](FakeServer& self) { self.send(pattern(10, 1)); });
  EXPECT_NE(refusal(brief), "none");
  FakeServer garbage([](FakeServer& self) { self.send(pattern(65'536, 1)); });
  EXPECT_NE(refusal(garbage), "none");
  FakeServer greets_only([](FakeServer& self) { self.greet(); });
  EXPECT_NE(refusal(greets_only), "none");
  FakeServer greets_then_garbage([](FakeServer& self) {
    self.greet();
    self.send(pattern(65'536, 1));
  });
  EXPECT_NE(refusal(greets_then_garbage), "none");
}

TEST(NbdHandshake, WaitsNoLongerThanItsLimit) {
  FakeServer silent([](FakeServer& self) { self.wait_for_end(); });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(refusal(silent, {.handshake_limit = 200ms}), HasSubstr("has not shaken hands in time"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

// The clock is looked at while it talks, too.
TEST(NbdHandshake, WaitsNoLongerForAServerThatNeverComesToAnEnd) {
  const auto begin = std::chrono::steady_clock::now();
  // Several: now and then the server has nothing to say for a moment.
  for (int i = 0; i < 8; ++i) {
    FakeServer talker([](FakeServer& self) { self.inform_for_ever(); });
    EXPECT_THAT(refusal(talker, {.handshake_limit = 50ms}), HasSubstr("has not shaken hands in time"));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
}

// --- What a server may do later ---

// The error of a read, and of another one afterwards.
std::pair<int, int> read_twice(FakeServer& server, ConnectionOptions options = {}) {
  File file(connect(server, std::move(options)));
  auto queue = file.make_queue(2);
  Buffer memory(4096);
  const int first = perform(*queue, Operation::read, 0, memory, {4096});
  return {first, perform(*queue, Operation::read, 0, memory, {1000, 3096})};
}

TEST(NbdServer, ThatGoesAwayFailsWhatIsUnderWayAndAllThatFollows) {
  FakeServer server(FakeServer::Export{.instead = [](FakeServer&, const auto&) { return false; }});
  EXPECT_EQ(read_twice(server), std::pair(EIO, EIO));
}

TEST(NbdServer, ThatGoesAwayFailsWhatWaitsForABufferToo) {
  FakeServer server(FakeServer::Export{.instead = [](FakeServer&, const auto&) { return false; }});
  File file(connect(server));
  auto queue = file.make_queue(32);
  Results results;
  std::vector<Tried> tried(32);
  Buffer memory(32 * 4096);
  for (unsigned i = 0; i < 32; ++i) {
    prepare(tried[i], Operation::read, 0, memory, {1000, 3096}, results);
    queue->submit(tried[i].request);
  }
  queue->drain();
  EXPECT_EQ(results.errors, std::vector<int>(32, EIO));
  EXPECT_EQ(file.sync(), EIO);
}

TEST(NbdServer, ThatDoesNotAnswerIsGivenUp) {
  FakeServer server(FakeServer::Export{.instead = [](FakeServer&, const auto&) { return true; }});
  EXPECT_EQ(read_twice(server, {.answer_limit = 200ms}), std::pair(EIO, EIO));
}

// What it says of other commands, or of none, is no answer to this one.
TEST(NbdServer, ThatLeavesOneCommandWithoutAnAnswerIsGivenUp) {
  FakeServer server(FakeServer::Export{.instead = [](FakeServer& self, const FakeServer::Asked& asked) {
    return asked.offset == 512 || self.do_as_asked(asked);
  }});
  File file(connect(server, {.answer_limit = 300ms}));
  auto forgotten = file.make_queue(1), answered = file.make_queue(1);
  Results results;
  Tried tried;
  Buffer memory(512);
  prepare(tried, Operation::read, 512, memory, {512}, results);
  const auto begin = std::chrono::steady_clock::now();
  forgotten->submit(tried.request);
  forgotten->kick();
  Buffer other(512);
  while (perform(*answered, Operation::read, 0, other, {512}) == 0) {
    ASSERT_LT(std::chrono::steady_clock::now() - begin, 10s);
    std::this_thread::sleep_for(10ms);
  }
  forgotten->drain();
  EXPECT_EQ(results.errors, std::vector<int>{EIO});
}

// A slow one is not one that does not answer: each of many commands has the time, when it is its turn.
TEST(NbdServer, ThatAnswersOneAfterTheOtherIsWaitedFor) {
  FakeServer server(FakeServer::Export{.instead = [](FakeServer& self, const FakeServer::Asked& asked) {
    std::this_thread::sleep_for(150ms);
    return self.do_as_asked(asked);
  }});
  File file(connect(server, {.answer_limit = 500ms}));
  auto queue = file.make_queue(6);
  Results results;
  std::vector<Tried> tried(6);
  Buffer memory(6 * 512);
  for (unsigned i = 0; i < 6; ++i) {
    prepare(tried[i], Operation::read, i * 512, memory, {512}, results);
    queue->submit(tried[i].request);
  }
  queue->drain();
  EXPECT_EQ(results.errors, std::vector<int>(6, 0));
}

TEST(NbdServer, ThatAnswersGarbageIsGivenUp) {
  FakeServer garbage(FakeServer::Export{
      .instead = [](FakeServer& self, const auto&) { return self.send(pattern(65'536, 1)); }});
  EXPECT_EQ(read_twice(garbage), std::pair(EIO, EIO));
  FakeServer unasked(FakeServer::Export{.instead = [](FakeServer& self, FakeServer::Asked asked) {
    asked.cookie += 77;
    return self.answer(asked, 0) && self.send(pattern(4096, 1));
  }});
  EXPECT_EQ(read_twice(unasked).second, EIO);
  FakeServer brief(FakeServer::Export{.instead = [](FakeServer& self, const FakeServer::Asked& asked) {
    self.answer(asked, 0);
    self.send(pattern(100, 1));
    return false;
  }});
  EXPECT_EQ(read_twice(brief), std::pair(EIO, EIO));
}

TEST(NbdServer, ThatFailsARequestFailsThatOneOnly) {
  std::uint32_t error = 28;  // NBD_ENOSPC
  FakeServer server(FakeServer::Export{.instead = [&error](FakeServer& self, const FakeServer::Asked& asked) {
    return error == 0 ? self.do_as_asked(asked) : self.answer(asked, std::exchange(error, 0));
  }});
  EXPECT_EQ(read_twice(server), std::pair(ENOSPC, 0));
  std::uint32_t denied = 1;  // NBD_EPERM
  FakeServer other(FakeServer::Export{.instead = [&denied](FakeServer& self, const FakeServer::Asked& asked) {
    return denied == 0 ? self.do_as_asked(asked) : self.answer(asked, std::exchange(denied, 0));
  }});
  EXPECT_EQ(read_twice(other), std::pair(EIO, 0));
}

// What is discarded may be kept: a server that does not want to is none that failed.
TEST(NbdServer, ThatRefusesATrimHasBeenAsked) {
  for (const std::uint32_t error : {22u, 95u, 5u}) {  // NBD_EINVAL, NBD_ENOTSUP, NBD_EIO
    FakeServer server(
        FakeServer::Export{.instead = [error](FakeServer& self, const FakeServer::Asked& asked) {
          return asked.command == FakeServer::kTrim ? self.answer(asked, error) : self.do_as_asked(asked);
        }});
    {
      File file(connect(server));
      auto queue = file.make_queue(1);
      const int expected = error == 5 ? EIO : 0;
      EXPECT_EQ(perform_bare(*queue, Operation::discard, 0, 4096), expected);
      EXPECT_EQ(perform_bare(*queue, Operation::discard, 8192, 4096), expected);
      EXPECT_EQ(file.sync(), 0);
    }
    const auto trims = std::ranges::count(server.asked(), FakeServer::kTrim, &FakeServer::Asked::command);
    EXPECT_EQ(trims, error == 95 ? 1 : 2);
  }
}

// --- In the cage ---

TEST(NbdCage, MayDoAllThatItNeeds) {
  const ProbeResult result = run_probe([] {
    FakeServer server(FakeServer::Export{});
    install_filter(ThreadKind::control, FilterMode::report);
    ConnectionOptions options;
    options.thread_started = [] { install_filter(ThreadKind::io, FilterMode::report); };
    File file(connect(server, std::move(options)));
    auto queue = file.make_queue(2);
    Buffer memory(300'000 / 512 * 512);
    const int wrote = perform(*queue, Operation::write, 0, memory, {1000, memory.size() - 1000}, true);
    const int read = perform(*queue, Operation::read, 0, memory, {memory.size()});
    return wrote != 0 || read != 0 || file.sync() != 0 || file.discard(0, 4096) != 0;
  });
  EXPECT_EQ(result.exit_code, 0) << result.output;
}

TEST(NbdCage, MayGiveUpOnAServer) {
  const ProbeResult result = run_probe([] {
    FakeServer silent(FakeServer::Export{.instead = [](FakeServer&, const auto&) { return true; }});
    FakeServer talker([](FakeServer& self) { self.inform_for_ever(); });
    install_filter(ThreadKind::control, FilterMode::report);
    ConnectionOptions options{.handshake_limit = 1s, .answer_limit = 100ms};
    options.thread_started = [] { install_filter(ThreadKind::io, FilterMode::report); };
    {
      File file(connect(silent, options));
      auto queue = file.make_queue(1);
      Buffer memory(4096);
      if (perform(*queue, Operation::read, 0, memory, {4096}) != EIO || file.sync() != EIO) return 1;
    }
    options.handshake_limit = 50ms;
    return refusal(talker, options).ends_with("has not shaken hands in time: Input/output error") ? 0 : 2;
  });
  EXPECT_EQ(result.exit_code, 0) << result.output;
}

// --- The peer ---

class PeerServer {
 public:
  explicit PeerServer(const std::vector<std::string>& options) {
    directory_ = std::filesystem::temp_directory_path() / ("warren-nbd-" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory_);
    std::ofstream(image()).close();
    std::filesystem::resize_file(image(), 8 << 20);
    std::vector<std::string> words = {"qemu-nbd", "-f", "raw", "-t", "-x", "data", "-k", socket()};
    words.insert(words.end(), options.begin(), options.end());
    words.push_back(image());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    if (::posix_spawnp(&child_, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0) child_ = -1;
  }
  ~PeerServer() {
    kill();
    std::filesystem::remove_all(directory_);
  }
  void kill() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    child_ = -1;
  }
  std::string image() const { return directory_ / "image"; }
  std::string socket() const { return directory_ / "socket"; }
  FileDescriptor connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket().copy(address.sun_path, sizeof(address.sun_path) - 1);
    for (int tries = 0; tries < 500; ++tries) {
      FileDescriptor made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (::connect(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return made;
      std::this_thread::sleep_for(20ms);
    }
    return {};
  }
  Buffer contents() const {
    std::ifstream file(image(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::filesystem::path directory_;
  pid_t child_ = -1;
};

bool has_peer() {
  return std::filesystem::exists("/usr/bin/qemu-nbd");
}

TEST(NbdPeer, HasWhatWasWritten) {
  if (!has_peer()) GTEST_SKIP() << "no qemu-nbd (package qemu-utils)";
  PeerServer server({"--discard=unmap"});
  FileDescriptor socket = server.connect();
  ASSERT_TRUE(socket);
  Buffer out = pattern(3 << 20, 11);
  {
    File file(std::make_shared<Connection>(std::move(socket), "disk vda",
                                           ConnectionOptions{.export_name = "data"}));
    EXPECT_EQ(file.size(), 8U << 20);
    auto queue = file.make_queue(4);
    EXPECT_EQ(perform(*queue, Operation::write, 1 << 20, out, {100'000, 1, 411'999, (3 << 20) - 512'000}), 0);
    EXPECT_EQ(perform_bare(*queue, Operation::write_zeroes, 2 << 20, 65'536), 0);
    EXPECT_EQ(perform_bare(*queue, Operation::discard, 3 << 20, 65'536), 0);
    EXPECT_EQ(perform_bare(*queue, Operation::flush, 0, 0), 0);
    std::fill_n(out.begin() + (1 << 20), 65'536, std::uint8_t{0});
    std::fill_n(out.begin() + (2 << 20), 65'536, std::uint8_t{0});
    Buffer in(out.size());
    EXPECT_EQ(perform(*queue, Operation::read, 1 << 20, in, {in.size() - 777, 777}), 0);
    EXPECT_TRUE(in == out);
  }
  const Buffer held = server.contents();
  EXPECT_TRUE(std::equal(out.begin(), out.end(), held.begin() + (1 << 20)));
}

TEST(NbdPeer, ThatIsKilledFailsRequests) {
  if (!has_peer()) GTEST_SKIP() << "no qemu-nbd (package qemu-utils)";
  PeerServer server({});
  FileDescriptor socket = server.connect();
  ASSERT_TRUE(socket);
  File file(
      std::make_shared<Connection>(std::move(socket), "disk vda", ConnectionOptions{.export_name = "data"}));
  EXPECT_EQ(file.sync(), 0);
  server.kill();
  EXPECT_EQ(file.sync(), EIO);
}

TEST(NbdPeer, HasNoOtherExports) {
  if (!has_peer()) GTEST_SKIP() << "no qemu-nbd (package qemu-utils)";
  PeerServer server({"-r"});
  const auto try_export = [&](const std::string& name, bool read_only) {
    try {
      Connection(server.connect(), "disk vda", {.export_name = name, .read_only = read_only});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  EXPECT_THAT(try_export("other", true), HasSubstr("NBD export 'other'"));
  EXPECT_THAT(try_export("data", false), HasSubstr("read-only"));
  EXPECT_EQ(try_export("data", true), "none");
}

}  // namespace
}  // namespace warren::vmm::block::nbd
