// A client in memory, for tests and fuzzing of sessions.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/rpc/codec.h"
#include "daemon/rpc/fake_host.h"
#include "daemon/rpc/fake_hypervisor.h"
#include "daemon/rpc/fake_interfaces.h"
#include "daemon/rpc/fake_native_formats.h"
#include "daemon/rpc/fake_network_filters.h"
#include "daemon/rpc/fake_networks.h"
#include "daemon/rpc/fake_secrets.h"
#include "daemon/rpc/fake_storage.h"
#include "daemon/rpc/packet.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc {

// Keeps what the session sends. `stuck`: the peer takes nothing, all of it is backlog.
class MemoryTransport final : public Transport {
 public:
  struct Sent {
    Header header;
    std::vector<std::byte> payload;
    std::size_t descriptors = 0;
  };

  std::deque<Sent> sent;
  std::size_t resumed = 0;
  bool stuck = false;
  bool closing = false;
  std::string aborted;  // the reason

  void send(std::span<const std::byte> frame, std::vector<FileDescriptor> descriptors) override {
    Decoder words(frame.subspan(kLengthSize));
    Sent kept;
    kept.header.program = words.word();
    kept.header.version = words.word();
    kept.header.procedure = words.word();
    kept.header.type = static_cast<MessageType>(words.word());
    kept.header.serial = words.word();
    kept.header.status = static_cast<MessageStatus>(words.word());
    kept.payload.assign(words.rest().begin(), words.rest().end());
    kept.descriptors = descriptors.size();
    sent.push_back(std::move(kept));
    if (stuck) backlog_ += frame.size();
  }
  std::size_t backlog() const override { return backlog_; }
  void resume() override { ++resumed; }
  void close_when_sent() override { closing = true; }
  void abort(std::string_view reason) override { aborted = reason; }

  void unstick() {
    stuck = false;
    backlog_ = 0;
  }

 private:
  std::size_t backlog_ = 0;
};

// One session with its transport and driver.
struct SessionHarness {
  explicit SessionHarness(Peer peer = {.user_id = 0}) {
    services.report = [this](std::string_view text) { reports.emplace_back(text); };
    session = std::make_shared<Session>(transport, services, peer, 42);
  }

  template <class Arguments>
  static std::vector<std::byte> payload_of(const Arguments& arguments) {
    std::vector<std::byte> payload;
    Encoder encoder(payload);
    encode(encoder, arguments);
    return payload;
  }

  void receive(const Header& header, std::vector<std::byte> payload,
               std::vector<FileDescriptor> descriptors = {}) {
    Frame frame{.header = header, .payload = payload, .descriptors = std::move(descriptors)};
    session->receive(frame);
  }

  void call(std::uint32_t procedure, std::vector<std::byte> payload = {},
            std::uint32_t program = kRemoteProgram) {
    receive({.program = program, .version = kProgramVersion, .procedure = procedure, .serial = ++serial},
            std::move(payload));
  }
  template <class Arguments>
  void call_with(std::uint32_t procedure, const Arguments& arguments) {
    call(procedure, payload_of(arguments));
  }

  MemoryTransport::Sent take() {
    if (transport.sent.empty()) return {.header = {.program = 0xdead}};
    MemoryTransport::Sent first = std::move(transport.sent.front());
    transport.sent.pop_front();
    return first;
  }
  // The error of the next message, with code -1 when it is none.
  protocol::Error take_error() {
    MemoryTransport::Sent sent = take();
    protocol::Error error;
    error.code = -1;
    if (sent.header.status != MessageStatus::error) return error;
    Decoder decoder(sent.payload);
    decode(decoder, error);
    return error;
  }
  template <class Result>
  Result take_result() {
    MemoryTransport::Sent sent = take();
    Result result;
    Decoder decoder(sent.payload);
    decode(decoder, result);
    if (sent.header.status != MessageStatus::ok || !decoder.ok()) result = {};
    return result;
  }

  FakeHypervisor hypervisor;
  FakeHost host;
  FakeNativeFormats native_formats;
  FakeSecrets secrets;
  FakeStorage storage;
  FakeNetworks networks;
  FakeInterfaces interfaces;
  FakeNetworkFilters network_filters;
  SessionServices services{.hypervisor = hypervisor,
                           .host = host,
                           .secrets = &secrets,
                           .storage = &storage,
                           .native_formats = &native_formats,
                           .networks = &networks,
                           .interfaces = &interfaces,
                           .network_filters = &network_filters};
  std::vector<std::string> reports;
  MemoryTransport transport;
  std::shared_ptr<Session> session;
  std::uint32_t serial = 0;
};

}  // namespace warren::daemon::rpc
