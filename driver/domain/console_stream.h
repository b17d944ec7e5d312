// A client's end of a domain's console or channel: the slave of its pty, or its socket, as a Stream.
//
// Implementation header (Asio). One thread.
#pragma once

#include <memory>
#include <optional>

#include <boost/asio/io_context.hpp>

#include "driver/contract/error.h"
#include "driver/contract/stream.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::domain {

// The part that a domain keeps an eye on: who has which console.
class ConsoleSession {
 public:
  virtual ~ConsoleSession() = default;
  virtual bool is_open() const noexcept = 0;
  // Ends the stream with an error for whoever reads or writes it next.
  virtual void take_away(Error reason) = 0;
};

struct OpenedConsole {
  std::unique_ptr<Stream> stream;
  std::shared_ptr<ConsoleSession> session;
};

// `end` is a non-blocking terminal or socket.
OpenedConsole make_console_stream(boost::asio::io_context& loop, vmm::FileDescriptor end);

}  // namespace warren::driver::domain
