#include "daemon/rpc/stream.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"
#include "daemon/rpc/protocol/stream.h"

namespace warren::daemon::rpc {
namespace {

constexpr std::uint32_t kOpenConsole = 201;

// What the other end of a stream did, kept beyond its life.
struct EndState {
  std::string output;        // what it has for the client
  bool output_ends = false;  // and then the end of data
  std::int64_t hole = 0;     // before the output
  std::string input;         // what it took from the client
  std::size_t room = 1 << 30;
  bool finished = false;
  bool aborted = false;
  bool destroyed = false;
  bool fails = false;
  driver::Stream::Ready readable;
  driver::Stream::Ready writable;

  void signal(driver::Stream::Ready& ready) {
    if (driver::Stream::Ready once = std::exchange(ready, nullptr)) once();
  }
};

class FakeEnd : public driver::SparseStream {
 public:
  explicit FakeEnd(EndState& state) : state_(state) {}
  ~FakeEnd() override {
    state_.destroyed = true;
    state_.readable = nullptr;
    state_.writable = nullptr;
  }
  ReadResult read_some(std::span<std::byte> buffer) override {
    if (state_.fails) throw driver::operation_failed("the other end broke");
    std::size_t part = std::min(buffer.size(), state_.output.size());
    std::copy_n(reinterpret_cast<const std::byte*>(state_.output.data()), part,
                buffer.begin());  // text as bytes
    state_.output.erase(0, part);
    return {.bytes = part, .end = part == 0 && state_.output_ends};
  }
  std::size_t write_some(std::span<const std::byte> data) override {
    std::size_t part = std::min(data.size(), state_.room);
    state_.input.append(reinterpret_cast<const char*>(data.data()), part);  // bytes as text
    state_.room -= part;
    return part;
  }
  void wait_readable(Ready ready) override { state_.readable = std::move(ready); }
  void wait_writable(Ready ready) override { state_.writable = std::move(ready); }
  void finish() override {
    if (state_.fails) throw driver::operation_failed("the disk is full");
    state_.finished = true;
  }
  void abort() noexcept override { state_.aborted = true; }
  std::int64_t read_hole() override { return std::exchange(state_.hole, 0); }
  bool write_hole(std::int64_t length) override {
    state_.input += "<" + std::to_string(length) + ">";
    return true;
  }

 private:
  EndState& state_;
};

// The same without holes.
class DenseEnd : public driver::Stream {
 public:
  explicit DenseEnd(EndState& state) : end_(state) {}
  ReadResult read_some(std::span<std::byte> buffer) override { return end_.read_some(buffer); }
  std::size_t write_some(std::span<const std::byte> data) override { return end_.write_some(data); }
  void wait_readable(Ready ready) override { end_.wait_readable(std::move(ready)); }
  void wait_writable(Ready ready) override { end_.wait_writable(std::move(ready)); }
  void finish() override { end_.finish(); }
  void abort() noexcept override { end_.abort(); }

 private:
  FakeEnd end_;
};

class StreamTest : public testing::Test {
 protected:
  void SetUp() override {
    harness_.call_with(1, protocol::ConnectOpenArgs{.name = "warren:///system"});
    harness_.take();
  }
  // Opens a console and takes its reply.
  void open(std::unique_ptr<driver::Stream> end) {
    harness_.hypervisor.console = std::move(end);
    harness_.call_with(kOpenConsole,
                       protocol::DomainOpenConsoleArgs{
                           .dom = {.name = "demo", .uuid = harness_.hypervisor.domain.uuid.bytes}});
    serial_ = harness_.serial;
    MemoryTransport::Sent reply = harness_.take();
    EXPECT_EQ(reply.header.type, MessageType::reply);  // before any of its data
    EXPECT_EQ(reply.header.status, MessageStatus::ok);
  }
  void send(MessageStatus status, std::string_view data = {}, MessageType type = MessageType::stream) {
    std::vector<std::byte> payload;
    for (char c : data) payload.push_back(static_cast<std::byte>(c));
    harness_.receive({.program = kRemoteProgram,
                      .version = 1,
                      .procedure = kOpenConsole,
                      .type = type,
                      .serial = serial_,
                      .status = status},
                     std::move(payload));
  }
  void send_hole(std::int64_t length, std::uint32_t flags = 0) {
    std::vector<std::byte> payload;
    Encoder encoder(payload);
    encoder.hyper(static_cast<std::uint64_t>(length));
    encoder.word(flags);
    std::string text(reinterpret_cast<const char*>(payload.data()), payload.size());  // bytes as text
    send(MessageStatus::more, text, MessageType::stream_hole);
  }
  std::string expect_packet(MessageStatus status, MessageType type = MessageType::stream) {
    MemoryTransport::Sent sent = harness_.take();
    EXPECT_EQ(sent.header.type, type);
    EXPECT_EQ(sent.header.status, status);
    EXPECT_EQ(sent.header.serial, serial_);
    EXPECT_EQ(sent.header.procedure, kOpenConsole);
    return {reinterpret_cast<const char*>(sent.payload.data()), sent.payload.size()};  // bytes as text
  }

  EndState end_;
  SessionHarness harness_;
  std::uint32_t serial_ = 0;
};

TEST_F(StreamTest, DataGoesBothWaysAndTheFinishIsConfirmed) {
  end_.output = "login: ";
  open(std::make_unique<FakeEnd>(end_));
  EXPECT_EQ(expect_packet(MessageStatus::more), "login: ");
  send(MessageStatus::more, "root");
  EXPECT_EQ(end_.input, "root");
  end_.output = "# ";
  end_.signal(end_.readable);
  EXPECT_EQ(expect_packet(MessageStatus::more), "# ");
  send(MessageStatus::ok);
  EXPECT_TRUE(end_.finished);
  EXPECT_TRUE(end_.destroyed);
  EXPECT_EQ(expect_packet(MessageStatus::ok), "");
  EXPECT_EQ(harness_.session->streams().size(), 0U);
}

TEST_F(StreamTest, TheEndOfDataIsAnEmptyPacket) {
  end_.output = "all";
  end_.output_ends = true;
  open(std::make_unique<FakeEnd>(end_));
  EXPECT_EQ(expect_packet(MessageStatus::more), "all");
  EXPECT_EQ(expect_packet(MessageStatus::more), "");
  EXPECT_FALSE(end_.destroyed);  // until the client finishes
  send(MessageStatus::ok);
  EXPECT_EQ(expect_packet(MessageStatus::ok), "");
}

TEST_F(StreamTest, AnAbortIsConfirmedAndLatePacketsAreIgnored) {
  open(std::make_unique<FakeEnd>(end_));
  send(MessageStatus::error);
  EXPECT_TRUE(end_.aborted);
  EXPECT_EQ(expect_packet(MessageStatus::ok), "");
  send(MessageStatus::more, "late");
  send(MessageStatus::ok);
  EXPECT_TRUE(harness_.transport.sent.empty());
  EXPECT_EQ(end_.input, "");
}

TEST_F(StreamTest, AFailureBecomesTheStreamsError) {
  open(std::make_unique<FakeEnd>(end_));
  end_.fails = true;
  end_.signal(end_.readable);
  MemoryTransport::Sent sent = harness_.take();
  EXPECT_EQ(sent.header.type, MessageType::stream);
  EXPECT_EQ(sent.header.status, MessageStatus::error);
  protocol::Error error;
  Decoder decoder(sent.payload);
  decode(decoder, error);
  EXPECT_EQ(error.message, "operation failed: the other end broke");
  EXPECT_TRUE(end_.destroyed);
}

TEST_F(StreamTest, AFinishThatFailsIsNotConfirmed) {
  open(std::make_unique<FakeEnd>(end_));
  end_.fails = true;
  send(MessageStatus::ok);
  EXPECT_EQ(harness_.take().header.status, MessageStatus::error);
  EXPECT_TRUE(harness_.transport.sent.empty());
}

TEST_F(StreamTest, HolesTravelBothWays) {
  end_.hole = 4096;
  end_.output = "x";
  open(std::make_unique<FakeEnd>(end_));
  std::string hole = expect_packet(MessageStatus::more, MessageType::stream_hole);
  EXPECT_EQ(hole, std::string("\0\0\0\0\0\0\x10\0\0\0\0\0", 12));
  EXPECT_EQ(expect_packet(MessageStatus::more), "x");
  send(MessageStatus::more, "a");
  send_hole(512);
  send(MessageStatus::more, "b");
  EXPECT_EQ(end_.input, "a<512>b");
}

TEST_F(StreamTest, BadHolesAreErrors) {  // T16
  struct Case {
    bool sparse;
    std::int64_t length;
    std::uint32_t flags;
  };
  for (const Case& c : {Case{false, 1, 0}, Case{true, -1, 0}, Case{true, 1, 1}}) {
    EndState end;
    open(c.sparse ? std::unique_ptr<driver::Stream>(std::make_unique<FakeEnd>(end))
                  : std::make_unique<DenseEnd>(end));
    send_hole(c.length, c.flags);
    EXPECT_EQ(harness_.take().header.status, MessageStatus::error);
    EXPECT_TRUE(end.destroyed);
  }
}

TEST_F(StreamTest, ASlowOtherEndHoldsUpTheConnectionAndNotTheMemory) {  // T8
  end_.room = 10;
  open(std::make_unique<FakeEnd>(end_));
  std::string chunk(100'000, 'x');
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(harness_.session->accepting());
    send(MessageStatus::more, chunk);
  }
  EXPECT_FALSE(harness_.session->accepting());
  EXPECT_EQ(end_.input.size(), 10U);
  send(MessageStatus::ok);  // had been read already
  EXPECT_FALSE(end_.finished);
  harness_.transport.resumed = 0;
  end_.room = 1 << 30;
  end_.signal(end_.writable);
  EXPECT_EQ(end_.input.size(), 300'000U);
  EXPECT_TRUE(end_.finished);
  EXPECT_TRUE(harness_.session->accepting());
  EXPECT_GE(harness_.transport.resumed, 1U);
}

TEST_F(StreamTest, ASlowClientIsNotReadAheadFor) {  // T27
  end_.output.assign(8 << 20, 'x');
  harness_.transport.stuck = true;
  open(std::make_unique<FakeEnd>(end_));
  EXPECT_LE(harness_.transport.backlog(), kStreamBacklog + kStreamPayload + 4096);
  std::size_t left = end_.output.size();
  EXPECT_GT(left, 6U << 20);
  harness_.transport.unstick();
  harness_.session->on_room();
  EXPECT_TRUE(end_.output.empty());
  for (const MemoryTransport::Sent& sent : harness_.transport.sent)
    EXPECT_LE(sent.payload.size(), kStreamPayload);
}

TEST_F(StreamTest, StreamsOfOneClientAreBounded) {  // T8
  std::vector<EndState> ends(StreamTable::kMost + 1);
  for (std::size_t i = 0; i < StreamTable::kMost; ++i) open(std::make_unique<FakeEnd>(ends[i]));
  harness_.hypervisor.console = std::make_unique<FakeEnd>(ends.back());
  harness_.call_with(kOpenConsole,
                     protocol::DomainOpenConsoleArgs{
                         .dom = {.name = "demo", .uuid = harness_.hypervisor.domain.uuid.bytes}});
  EXPECT_EQ(harness_.take_error().message, "operation failed: client has 64 streams open, which is the most");
  EXPECT_TRUE(ends.back().destroyed);
  harness_.session->on_closed();
  for (const EndState& end : ends) EXPECT_TRUE(end.destroyed);
}

TEST_F(StreamTest, AChannelIsAStreamToo) {
  constexpr std::uint32_t kOpenChannel = 296;
  const auto open_channel = [this](const std::string& name) {
    harness_.hypervisor.console = std::make_unique<FakeEnd>(end_);
    harness_.call_with(
        kOpenChannel,
        protocol::DomainOpenChannelArgs{
            .dom = {.name = "demo", .uuid = harness_.hypervisor.domain.uuid.bytes}, .name = name});
  };
  open_channel("none");
  EXPECT_NE(harness_.take_error().message.value_or("").find("cannot find channel"), std::string::npos);
  end_ = {};
  open_channel("org.example.0");
  EXPECT_EQ(harness_.take().header.status, MessageStatus::ok);
  harness_.session->on_closed();
  EXPECT_TRUE(end_.destroyed);
}

TEST_F(StreamTest, ASerialInUseOpensNoSecondStream) {  // T16: interleaved streams
  open(std::make_unique<FakeEnd>(end_));
  EndState second;
  harness_.hypervisor.console = std::make_unique<FakeEnd>(second);
  --harness_.serial;
  harness_.call_with(kOpenConsole,
                     protocol::DomainOpenConsoleArgs{
                         .dom = {.name = "demo", .uuid = harness_.hypervisor.domain.uuid.bytes}});
  EXPECT_EQ(harness_.take().header.status, MessageStatus::error);
  EXPECT_FALSE(end_.destroyed);
}

}  // namespace
}  // namespace warren::daemon::rpc
