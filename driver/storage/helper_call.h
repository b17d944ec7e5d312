// One piece of work with the helper that does it: its records as they come, its end, and the means to stop
// it.
//
// The loop's thread. A helper that says nothing for its deadline is taken for hung, killed and not waited
// for: a process in an uninterruptible sleep dies when its file server lets it. Implementation header (Asio).
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "driver/contract/completion.h"
#include "driver/storage/backend_message.h"
#include "driver/storage/helper_process.h"

namespace warren::driver::storage {

struct HelperOrder {
  Request request;
  vmm::FileDescriptor data;  // the helper's end of the data socket
  std::chrono::milliseconds deadline{60'000};
  std::function<void(Reply& record)> record;
};

class HelperCall : public std::enable_shared_from_this<HelperCall> {
 public:
  // `launching` is for the moment that a process takes to be made.
  HelperCall(boost::asio::io_context& loop, boost::asio::thread_pool& launching, HelperLauncher launcher)
      : loop_(loop), launching_(launching), launcher_(std::move(launcher)), socket_(loop), timer_(loop) {}

  // Completes from the loop, never before it returns, with the number of the helper's answer.
  void begin(HelperOrder order, Completion<std::uint64_t> completion);
  // Kills the helper; the call completes with `reason`.
  void abort(Error reason);
  // Kills the helper; nobody is told. What waits for the call, and keeps it alive by that, is destroyed.
  void forget();
  // Whether it has made what a failure has to take away again.
  bool has_reported() const { return has_reported_; }

 private:
  void launched(HelperProcess process, vmm::FileDescriptor ours);
  void read();
  void take(std::size_t bytes);
  bool handle(Reply reply);
  void wait_in_silence();
  void finish(std::expected<std::uint64_t, Error> outcome);

  boost::asio::io_context& loop_;
  boost::asio::thread_pool& launching_;
  HelperLauncher launcher_;
  HelperOrder order_;
  Completion<std::uint64_t> completion_;  // empty: it has been called
  HelperProcess process_;
  std::string outgoing_;
  boost::asio::local::stream_protocol::socket socket_;
  boost::asio::steady_timer timer_;
  std::array<char, 65536> buffer_;
  FrameReader frames_{kMostReplyBytes};
  bool has_reported_ = false;
};

// Frees what an ended helper leaves, when it ends.
void reap_later(boost::asio::io_context& loop, HelperProcess process);

}  // namespace warren::driver::storage
