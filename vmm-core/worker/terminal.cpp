#include "vmm-core/worker/terminal.h"

#include <array>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "vmm-core/os/error.h"

namespace warren::vmm::worker {
namespace asio = boost::asio;

namespace {
constexpr char kEscape = 'a' & 0x1f;
}

class Terminal::Implementation : public std::enable_shared_from_this<Implementation> {
 public:
  Implementation(asio::io_context& loop, std::function<void(char)> command)
      : input_(loop), guest_(loop), command_(std::move(command)) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
      throw_errno("terminal");
    guest_.assign(pair[0]);
    theirs_.reset(pair[1]);
    const int input = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    if (input < 0) throw_errno("standard input");
    FileDescriptor owned(input);
    boost::system::error_code not_pollable;
    input_.assign(owned.get(), not_pollable);
    // Standard input may be a file, which is nothing to wait for: the guest then has no input.
    if (!not_pollable) owned.release();
    termios settings{};
    if (::tcgetattr(STDIN_FILENO, &settings) != 0) return;
    saved_ = settings;
    ::cfmakeraw(&settings);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &settings);
  }

  void open() {
    if (input_.is_open()) read_input();
    read_guest();
  }

  void close() {
    flush();
    boost::system::error_code ignored;
    input_.close(ignored);
    guest_.close(ignored);
    if (saved_) ::tcsetattr(STDIN_FILENO, TCSANOW, &*saved_);
  }

  void flush() noexcept {
    std::array<char, 4096> bytes;
    while (true) {
      const ssize_t got = ::recv(guest_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (got <= 0) return;
      show({bytes.data(), static_cast<std::size_t>(got)});
    }
  }

  FileDescriptor theirs_;

 private:
  void read_input() {
    input_.async_read_some(asio::buffer(typed_),
                           [self = shared_from_this()](boost::system::error_code failed, std::size_t count) {
                             if (failed) return;
                             for (std::size_t i = 0; i < count; ++i) self->type(self->typed_[i]);
                             self->read_input();
                           });
  }

  void type(char key) {
    if (escaped_) {
      escaped_ = false;
      if (key != kEscape) return command_(key);
    } else if (key == kEscape) {
      escaped_ = true;
      return;
    }
    // A guest that does not read loses what is typed, as at a real terminal.
    [[maybe_unused]] const ssize_t sent =
        ::send(guest_.native_handle(), &key, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  void read_guest() {
    guest_.async_wait(asio::posix::stream_descriptor::wait_read,
                      [self = shared_from_this()](boost::system::error_code failed) {
                        if (failed) return;
                        self->flush();
                        self->read_guest();
                      });
  }

  static void show(std::string_view bytes) noexcept {
    while (!bytes.empty()) {
      const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
      if (written <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  asio::posix::stream_descriptor input_;
  asio::posix::stream_descriptor guest_;
  std::function<void(char)> command_;
  std::array<char, 256> typed_;
  bool escaped_ = false;
  std::optional<termios> saved_;
};

Terminal::Terminal(asio::io_context& loop, std::function<void(char)> command)
    : implementation_(std::make_shared<Implementation>(loop, std::move(command))) {
  implementation_->open();
}

Terminal::~Terminal() {
  implementation_->close();
}

FileDescriptor Terminal::take_input() {
  return implementation_->theirs_.duplicate();
}
FileDescriptor Terminal::take_output() {
  return std::move(implementation_->theirs_);
}
void Terminal::flush() noexcept {
  implementation_->flush();
}

}  // namespace warren::vmm::worker
