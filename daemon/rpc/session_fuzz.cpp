// Sequences of frames, driver completions, events and transport states against one session (T7, T16, T27).
//
// The input is a list of operations, valid by default; raw bytes come in too. Checked at the end: every call
// that the session took was answered exactly once, and its bounds held throughout.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "daemon/rpc/memory_transport.h"
#include "daemon/rpc/protocol/connect.h"

namespace warren::daemon::rpc {
namespace {

// The other end of a console: takes and gives what it is told to.
class FuzzStream : public driver::SparseStream {
 public:
  explicit FuzzStream(std::uint8_t behaviour) : behaviour_(behaviour) {}
  ReadResult read_some(std::span<std::byte> buffer) override {
    if ((behaviour_ & 1) != 0) throw driver::operation_failed("read");
    if (reads_++ < (behaviour_ >> 4))
      return {.bytes = std::min<std::size_t>(buffer.size(), 1000), .end = false};
    return {.bytes = 0, .end = (behaviour_ & 2) != 0};
  }
  std::size_t write_some(std::span<const std::byte> data) override {
    if ((behaviour_ & 4) != 0) return 0;
    return data.size();
  }
  void wait_readable(Ready) override {}
  void wait_writable(Ready) override {}
  void finish() override {
    if ((behaviour_ & 8) != 0) throw driver::operation_failed("finish");
  }
  void abort() noexcept override {}
  std::int64_t read_hole() override { return 0; }
  bool write_hole(std::int64_t) override { return true; }

 private:
  std::uint8_t behaviour_;
  unsigned int reads_ = 0;
};

class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}
  bool done() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    std::uint8_t value = rest_.front();
    rest_ = rest_.subspan(1);
    return value;
  }
  std::vector<std::byte> bytes(std::size_t size) {
    size = std::min(size, rest_.size());
    std::vector<std::byte> taken(size);
    std::ranges::transform(rest_.first(size), taken.begin(), [](std::uint8_t b) { return std::byte{b}; });
    rest_ = rest_.subspan(size);
    return taken;
  }

 private:
  std::span<const std::uint8_t> rest_;
};

class Player {
 public:
  explicit Player(Script script)
      : script_(script),
        harness_(Peer{.user_id = 0,
                      .read_only = (flags_ = script_.byte(), (flags_ & 1) != 0),
                      .authenticated = (flags_ & 2) == 0}) {
    harness_.hypervisor.immediate = false;
    for (FakeCompletions* completions : completions_) completions->immediate = false;
    if ((flags_ & 8) != 0) harness_.services.networks = nullptr;
    if ((flags_ & 16) != 0) harness_.services.interfaces = nullptr;
    if ((flags_ & 32) != 0) harness_.services.network_filters = nullptr;
    if ((flags_ & 4) == 0) {
      std::vector<std::byte> frame;
      begin_frame(frame, {.program = kRemoteProgram, .version = 1, .procedure = 1});
      Encoder encoder(frame);
      encode(encoder, protocol::ConnectOpenArgs{.name = "warren:///system"});
      finish_frame(frame);
      feed(frame);
    }
  }

  void run() {
    while (!script_.done() && harness_.transport.aborted.empty()) step();
    // A half-closed connection lives until its replies are out.
    harness_.transport.unstick();
    for (auto& done : harness_.hypervisor.pending) done({});
    harness_.hypervisor.pending.clear();
    for (FakeCompletions* completions : completions_) completions->finish_all();
    if (calls_ != replies() || harness_.session->busy()) std::abort();
    harness_.session->on_closed();
    if (!harness_.hypervisor.handlers.empty() || !harness_.networks.handlers.empty()) std::abort();
    if (harness_.session->streams().size() != 0) std::abort();
  }

 private:
  void step() {
    switch (script_.byte() % 8) {
      case 0:
        feed(script_.bytes(script_.byte()));
        break;
      case 1:
        send(MessageType::call, MessageStatus::ok, ++serial_);
        break;
      case 2:
        send(MessageType::stream, static_cast<MessageStatus>(script_.byte() % 4),
             serial_ - script_.byte() % 3);
        break;
      case 3:
        send(MessageType::stream_hole, MessageStatus::more, serial_);
        break;
      case 4:
        complete();
        break;
      case 5:
        harness_.hypervisor.emit(
            {harness_.hypervisor.domain, driver::LifecycleEvent{.event = script_.byte()}});
        for (const auto& [id, handler] : harness_.networks.handlers)
          handler({.network = harness_.networks.network});
        break;
      case 6:
        if (script_.byte() % 2 == 0) {
          harness_.transport.stuck = true;
        } else {
          harness_.transport.unstick();
          harness_.session->on_room();
        }
        break;
      case 7:
        harness_.session->keepalive_tick(script_.byte() % 2 == 0);
        break;
    }
  }

  void send(MessageType type, MessageStatus status, std::uint32_t serial) {
    std::uint8_t knob = script_.byte();
    auto number = static_cast<std::uint32_t>(script_.byte() << 8 | script_.byte());
    if (type != MessageType::call) number = 201;
    std::vector<std::byte> frame;
    begin_frame(frame, {.program = knob == 1   ? kQemuProgram
                                   : knob == 2 ? kKeepaliveProgram
                                               : kRemoteProgram,
                        .version = knob == 3 ? 7U : kProgramVersion,
                        .procedure = number % 450,
                        .type = type,
                        .serial = serial,
                        .status = status});
    // A domain handle that exists begins the arguments of most calls.
    if (knob % 4 == 0 && type == MessageType::call) {
      Encoder encoder(frame);
      encode(encoder,
             protocol::Domain{.name = "demo", .uuid = harness_.hypervisor.domain.uuid.bytes, .id = 7});
    }
    // Or one of a network.
    if (knob % 4 == 2 && type == MessageType::call) {
      Encoder encoder(frame);
      encode(encoder, protocol::Network{.name = "net", .uuid = harness_.networks.network.uuid.bytes});
    }
    std::vector<std::byte> rest = script_.bytes(script_.byte());
    frame.insert(frame.end(), rest.begin(), rest.end());
    finish_frame(frame);
    harness_.hypervisor.console = std::make_unique<FuzzStream>(knob);
    feed(frame);
  }

  void complete() {
    for (FakeCompletions* completions : completions_) {
      if (completions->size() > 0) {
        const std::size_t at = script_.byte() % completions->size();
        completions->finish(at, script_.byte() % 2 == 0);
      }
    }
    auto& pending = harness_.hypervisor.pending;
    if (pending.empty()) return;
    std::size_t at = script_.byte() % pending.size();
    auto done = std::move(pending[at]);
    pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(at));
    if (script_.byte() % 2 == 0) {
      done(std::unexpected(driver::operation_failed("no")));
    } else {
      done({});
    }
  }

  void feed(std::span<const std::byte> bytes) {
    std::size_t offered = 0;
    while (offered < bytes.size() && !broken_) {
      std::span<std::byte> space = reader_.space();
      std::size_t part = std::min(space.size(), bytes.size() - offered);
      std::ranges::copy(bytes.subspan(offered, part), space.begin());
      reader_.received(part);
      offered += part;
      serve();
    }
  }

  void serve() {
    Frame frame;
    while (!broken_ && harness_.session->accepting()) {
      FrameReader::Next next = reader_.next(frame);
      if (next == FrameReader::Next::incomplete) return;
      broken_ = next == FrameReader::Next::violation;
      if (broken_) return;
      bool is_call =
          frame.header.type == MessageType::call || frame.header.type == MessageType::call_with_fds;
      if (is_call && frame.header.program != kKeepaliveProgram) ++calls_;
      harness_.session->receive(frame);
      std::size_t pending = harness_.hypervisor.pending.size();
      for (const FakeCompletions* completions : completions_) pending += completions->size();
      if (pending > harness_.services.max_client_requests) std::abort();
    }
  }

  std::size_t replies() const {
    std::size_t found = 0;
    for (const MemoryTransport::Sent& sent : harness_.transport.sent) {
      found += sent.header.type == MessageType::reply ? 1 : 0;
    }
    return found;
  }

  Script script_;
  std::uint8_t flags_ = 0;
  SessionHarness harness_;
  const std::array<FakeCompletions*, 3> completions_{&harness_.networks.completions,
                                                     &harness_.interfaces.completions,
                                                     &harness_.network_filters.completions};
  FrameReader reader_;
  bool broken_ = false;
  std::uint32_t serial_ = 0;
  std::size_t calls_ = 0;
};

}  // namespace
}  // namespace warren::daemon::rpc

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren::daemon::rpc;
  Player(Script(data, size)).run();
  return 0;
}
