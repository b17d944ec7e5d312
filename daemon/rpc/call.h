// One remote procedure call being served, and the means to answer it later.
//
// A handler answers by returning its result, or takes a Reply and answers when the work is done. Loop thread
// only.
#pragma once

#include <cstdint>
#include <exception>
#include <expected>
#include <memory>
#include <utility>
#include <vector>

#include "daemon/rpc/packet.h"
#include "daemon/rpc/procedure.h"
#include "daemon/rpc/xdr.h"
#include "driver/contract/error.h"
#include "driver/contract/stream.h"

namespace warren::daemon::rpc {

class Session;

// A struct without fields: the arguments or the result of a procedure that has none.
struct Nothing {};

// Which call a reply belongs to.
struct CallId {
  std::uint32_t program = 0;
  const Procedure* procedure = nullptr;
  std::uint32_t serial = 0;
};

// Writes one result struct; `result` points at it.
using ResultWriter = void (*)(Encoder& to, const void* result);

// The duty to answer one call exactly once. Destroyed unanswered it answers with an internal error: a client
// never waits for a reply that cannot come. Harmless after the session's end.
class ReplyDuty {
 public:
  ReplyDuty(std::weak_ptr<Session> session, CallId call) : session_(std::move(session)), call_(call) {}
  ReplyDuty(ReplyDuty&& other) noexcept
      : session_(std::move(other.session_)), call_(std::exchange(other.call_, CallId{})) {}
  ReplyDuty& operator=(ReplyDuty&&) = delete;
  ~ReplyDuty();

  void succeed(ResultWriter write, const void* result);
  void fail(const driver::Error& error);

 private:
  std::weak_ptr<Session> session_;
  CallId call_;
};

// Answers one call with a `Result`, later and once; the shape of a driver::Completion's argument.
template <class Result>
class Reply {
 public:
  Reply(ReplyDuty duty, ResultWriter write) : duty_(std::move(duty)), write_(write) {}

  void operator()(const std::expected<Result, driver::Error>& outcome) {
    if (outcome) {
      duty_.succeed(write_, &*outcome);
    } else {
      duty_.fail(outcome.error());
    }
  }

 private:
  ReplyDuty duty_;
  ResultWriter write_;
};

// The call as its handler sees it; lives until the handler returns.
class Call {
 public:
  Call(Session& session, CallId id, std::vector<FileDescriptor> descriptors)
      : session_(session), id_(id), descriptors_(std::move(descriptors)) {}

  Session& session() { return session_; }
  const CallId& id() const { return id_; }

  // The descriptors that came with the call; those not taken are closed.
  std::vector<FileDescriptor> take_descriptors() { return std::exchange(descriptors_, {}); }
  // Descriptors that go back with the reply.
  void return_descriptors(std::vector<FileDescriptor> descriptors) { returned_ = std::move(descriptors); }

  // The handler will answer later: one of the client's requests in flight until it does.
  ReplyDuty defer();
  // Answers now.
  void succeed(ResultWriter write, const void* result);

  // An exception that is answered already, for the log.
  void report(const std::exception& error);

  // Makes `body` the stream of this call, from its successful reply on. Throws
  // driver::Error when the client has too many streams open.
  void open_stream(std::unique_ptr<driver::Stream> body);

 private:
  Session& session_;
  CallId id_;
  std::vector<FileDescriptor> descriptors_;
  std::vector<FileDescriptor> returned_;
  std::unique_ptr<driver::Stream> stream_;
};

}  // namespace warren::daemon::rpc
