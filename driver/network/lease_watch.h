// Files of leases as dnsmasq changes them: inotify(7) on their directory. The loop's thread. Implementation
// header (Asio).
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

namespace warren::driver::network {

class LeaseWatch {
 public:
  // Called with the name of a file, a moment after it began to change.
  using Listener = std::function<void(const std::string& file)>;

  // The directory is made. Throws Error. `loop` outlives it; no call comes after its end.
  LeaseWatch(boost::asio::io_context& loop, const std::filesystem::path& directory, Listener listener);
  ~LeaseWatch();
  LeaseWatch(const LeaseWatch&) = delete;
  LeaseWatch& operator=(const LeaseWatch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace warren::driver::network
