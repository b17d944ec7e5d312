#include "driver/network/lease_watch.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::network {

namespace asio = boost::asio;

namespace {

// dnsmasq writes a file of leases in several pieces.
constexpr std::chrono::milliseconds kMoment{150};

}  // namespace

struct LeaseWatch::State : std::enable_shared_from_this<State> {
  State(asio::io_context& loop, int descriptor, Listener the_listener)
      : watch(loop, descriptor), timer(loop), listener(std::move(the_listener)) {}

  void wait() {
    watch.async_wait(asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& failed) {
                       if (failed || !self->listener) return;
                       self->read();
                       self->wait();
                     });
  }

  void read() {
    alignas(inotify_event) std::array<char, 16384> buffer;
    ssize_t length = 0;
    while ((length = ::read(watch.native_handle(), buffer.data(), buffer.size())) > 0) {
      for (std::size_t place = 0; place + sizeof(inotify_event) <= static_cast<std::size_t>(length);) {
        inotify_event event;
        std::memcpy(&event, buffer.data() + place, sizeof event);
        // The name is filled up with zeros (inotify(7)).
        if (event.len > 0) changed.emplace(buffer.data() + place + sizeof event);
        place += sizeof event + event.len;
      }
    }
    if (changed.empty() || is_pending) return;
    is_pending = true;
    timer.expires_after(kMoment);
    timer.async_wait([self = shared_from_this()](const boost::system::error_code&) {
      self->is_pending = false;
      for (const std::string& file : std::exchange(self->changed, {}))
        if (const Listener told = self->listener) told(file);
    });
  }

  asio::posix::stream_descriptor watch;
  asio::steady_timer timer;
  Listener listener;  // empty once the watch has ended
  std::set<std::string> changed;
  bool is_pending = false;
};

LeaseWatch::LeaseWatch(asio::io_context& loop, const std::filesystem::path& directory, Listener listener) {
  std::error_code made;
  std::filesystem::create_directories(directory, made);
  if (made) throw system_error(made.value(), fmt::format("cannot make the directory {}", directory.native()));
  vmm::FileDescriptor watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch || ::inotify_add_watch(watch.get(), directory.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
    throw system_error(errno, fmt::format("cannot watch {}", directory.native()));
  state_ = std::make_shared<State>(loop, watch.release(), std::move(listener));
  state_->wait();
}

LeaseWatch::~LeaseWatch() {
  state_->listener = nullptr;
  boost::system::error_code ignored;
  state_->watch.close(ignored);
  state_->timer.cancel();
}

}  // namespace warren::driver::network
