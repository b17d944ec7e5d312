// What the daemon knows of each remote procedure, as data: the program tables (tables/) are made of these.
//
// Constant data; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace warren::daemon::rpc {

class Call;

// Properties of a procedure.
enum ProcedureFlags : std::uint16_t {
  kLow = 0,                  // may wait for a guest or its worker
  kHigh = 1 << 0,            // never waits
  kWrite = 1 << 1,           // refused to read-only connections
  kPreAuth = 1 << 2,         // served before the client is authenticated
  kPreOpen = 1 << 3,         // served before CONNECT_OPEN
  kStreamToClient = 1 << 4,  // opens a stream from the daemon
  kStreamToServer = 1 << 5,  // opens a stream to the daemon
  kTakesFds = 1 << 6,        // the call may carry descriptors
  kReturnsFds = 1 << 7,      // the reply carries descriptors
  kEvent = 1 << 8,           // a message from daemon to client, never a call
  kSensitive = 1 << 9,       // arguments or result hold a secret: overwritten once they are used
};

constexpr ProcedureFlags operator|(ProcedureFlags a, ProcedureFlags b) {
  return static_cast<ProcedureFlags>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}

enum class Support : std::uint8_t {
  implemented,
  refused,  // known and not going to be served: another procedure does it, or it contradicts the design
  missing,  // not served yet
};

std::string_view to_string(Support support);

// The driver that a procedure is about, where a daemon may be without: its calls are then answered with
// VIR_ERR_NO_SUPPORT.
enum class Part : std::uint8_t {
  always,  // there is no daemon without
  secrets,
  storage,
  native_formats,
  networks,
  interfaces,
  network_filters,
};

// The wire form of one message struct.
struct Layout {
  // Decodes `payload` and appends its encoding to `again`. False when it is no such message; `consumed` says
  // how much of it was read.
  bool (*recode)(std::span<const std::byte> payload, std::vector<std::byte>& again, std::size_t& consumed);
};

struct Procedure {
  std::uint32_t number;
  std::string_view name;
  ProcedureFlags flags;
  // Access control rules, "object:permission[:flag]…", separated by spaces; "none" when there are none.
  std::string_view acl;
  Support support;
  Layout arguments;  // of an event: the message
  Layout result;
  // Decodes the arguments, does the work and answers, at once or later. False when the arguments could not be
  // decoded (then nothing was done). Null unless implemented. Throws what Session::dispatch turns into an
  // error reply.
  bool (*serve)(Call& call, std::span<const std::byte> arguments);
  // Of a refused procedure that has a reason: the virErrorNumber and the text a client gets. Without them it
  // is answered as a procedure that is not known (VIR_ERR_NO_SUPPORT).
  int refusal_code = 0;
  std::string_view refusal = {};
  Part part = Part::always;

  bool has(ProcedureFlags flag) const { return (flags & flag) != 0; }
};

// One RPC program: its procedures by number.
class Program {
 public:
  Program(std::string_view name, std::uint32_t number,
          std::initializer_list<std::span<const Procedure>> tables);

  std::string_view name() const { return name_; }
  std::uint32_t number() const { return number_; }
  // Null for a number that is not known.
  const Procedure* find(std::uint32_t procedure) const {
    return procedure < procedures_.size() ? procedures_[procedure] : nullptr;
  }
  // By number; null where a number is not used.
  std::span<const Procedure* const> procedures() const { return procedures_; }

 private:
  std::string_view name_;
  std::uint32_t number_;
  std::vector<const Procedure*> procedures_;
};

// The programs a client may call: REMOTE, QEMU and LXC on the daemon's sockets, ADMIN on the admin socket.
std::span<const Program> programs();
// Null for a program that is not known.
const Program* find_program(std::uint32_t number);

}  // namespace warren::daemon::rpc
