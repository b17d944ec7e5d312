// What the lines of the procedure tables are written with. Included by tables/*.cpp only: it instantiates
// codecs.
//
//   served<&handlers::domain_get_info>(16, "DOMAIN_GET_INFO", kLow, "domain:read")   types from the handler;
//   a last Part for what a daemon may be without
//   declined<Arguments, Result>(…, VIR_ERR_…, "reason")   answered with that error
//   missing<Arguments, Result>(…), refused<Arguments, Result>(…)                     answered "unknown
//   procedure" event<Message>(…), refused_event<Message>(…), sent_event<Message>(…)             daemon to
//   client
//
// A handler is one of
//   Result f(Call&, const Arguments&)                 answers at once, or throws driver::Error
//   void f(Call&, const Arguments&, Reply<Result>)    answers when its work is done; throws nothing but
//   bad_alloc
#pragma once

#include <exception>
#include <type_traits>

#include "daemon/rpc/call.h"
#include "daemon/rpc/codec.h"
#include "daemon/rpc/procedure.h"

namespace warren::daemon::rpc {

template <class Message>
bool recode(std::span<const std::byte> payload, std::vector<std::byte>& again, std::size_t& consumed) {
  Message message;
  Decoder decoder(payload);
  decode(decoder, message);
  consumed = payload.size() - decoder.rest().size();
  if (!decoder.ok()) return false;
  Encoder encoder(again);
  encode(encoder, message);
  return encoder.ok();
}

template <class Result>
void write_result(Encoder& to, const void* result) {
  if constexpr (!std::is_void_v<Result>) encode(to, *static_cast<const Result*>(result));
}

template <auto Handler>
struct HandlerShape;

template <class R, class A, R (*Handler)(Call&, const A&)>
struct HandlerShape<Handler> {
  using Arguments = A;
  using Result = std::conditional_t<std::is_void_v<R>, Nothing, R>;
  static void run(Call& call, const A& arguments) {
    if constexpr (std::is_void_v<R>) {
      Handler(call, arguments);
      call.succeed(&write_result<void>, nullptr);
    } else {
      R result = Handler(call, arguments);
      call.succeed(&write_result<R>, &result);
    }
  }
};

template <class R, class A, void (*Handler)(Call&, const A&, Reply<R>)>
struct HandlerShape<Handler> {
  using Arguments = A;
  using Result = R;
  static void run(Call& call, const A& arguments) {
    try {
      Handler(call, arguments, Reply<R>(call.defer(), &write_result<R>));
    } catch (const std::exception& error) {
      // The reply went with the stack, and has answered as it did.
      call.report(error);
    }
  }
};

template <auto Handler>
bool serve(Call& call, std::span<const std::byte> payload) {
  typename HandlerShape<Handler>::Arguments arguments;
  Decoder decoder(payload);
  decode(decoder, arguments);
  if (!decoder.ok()) return false;
  HandlerShape<Handler>::run(call, arguments);
  return true;
}

template <auto Handler>
constexpr Procedure served(std::uint32_t number, std::string_view name, ProcedureFlags flags,
                           std::string_view acl, Part part = Part::always) {
  using Shape = HandlerShape<Handler>;
  return {number,
          name,
          flags,
          acl,
          Support::implemented,
          {&recode<typename Shape::Arguments>},
          {&recode<typename Shape::Result>},
          &serve<Handler>,
          0,
          {},
          part};
}

template <class Arguments, class Result>
constexpr Procedure missing(std::uint32_t number, std::string_view name, ProcedureFlags flags,
                            std::string_view acl) {
  return {number, name, flags, acl, Support::missing, {&recode<Arguments>}, {&recode<Result>}, nullptr};
}

template <class Arguments, class Result>
constexpr Procedure refused(std::uint32_t number, std::string_view name, ProcedureFlags flags,
                            std::string_view acl) {
  return {number, name, flags, acl, Support::refused, {&recode<Arguments>}, {&recode<Result>}, nullptr};
}

// Refused for a reason that a user would accept.
template <class Arguments, class Result>
constexpr Procedure declined(std::uint32_t number, std::string_view name, ProcedureFlags flags,
                             std::string_view acl, int code, std::string_view reason) {
  return {number,  name, flags, acl, Support::refused, {&recode<Arguments>}, {&recode<Result>},
          nullptr, code, reason};
}

template <class Message>
constexpr Procedure event(std::uint32_t number, std::string_view name) {
  return {number, name, kEvent, "none", Support::missing, {&recode<Message>}, {&recode<Nothing>}, nullptr};
}

// An older form of an event, for clients that cannot ask for the newer one.
template <class Message>
constexpr Procedure refused_event(std::uint32_t number, std::string_view name) {
  return {number, name, kEvent, "none", Support::refused, {&recode<Message>}, {&recode<Nothing>}, nullptr};
}

template <class Message>
constexpr Procedure sent_event(std::uint32_t number, std::string_view name, Part part = Part::always) {
  return {number,  name, kEvent, "none", Support::implemented, {&recode<Message>}, {&recode<Nothing>},
          nullptr, 0,    {},     part};
}

}  // namespace warren::daemon::rpc
