// Who wants to hear of which events of which objects. Implementation header (Asio).
//
// The loop's thread. Handlers are called from the loop, never from emit(): a handler may end its own
// subscription, and by then it may also be gone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "driver/contract/uuid.h"

namespace warren::driver::loop {

template <typename Event>
class Subscriptions {
 public:
  using Handler = std::function<void(const Event&)>;

  explicit Subscriptions(boost::asio::io_context& loop) : loop_(loop) {}

  std::uint64_t add(int event_id, std::optional<Uuid> object, Handler handler) {
    entries_.emplace(next_, Entry{event_id, object, std::move(handler)});
    return next_++;
  }
  void remove(std::uint64_t id) noexcept { entries_.erase(id); }

  void emit(int event_id, const Uuid& object, const Event& event) {
    for (const auto& [number, entry] : entries_) {
      if (entry.event_id != event_id || (entry.object && *entry.object != object)) continue;
      boost::asio::post(loop_, [this, alive = std::weak_ptr<bool>(alive_), id = number, event] {
        if (alive.expired()) return;
        const auto found = entries_.find(id);
        if (found == entries_.end()) return;
        const Handler handler = found->second.handler;
        handler(event);
      });
    }
  }

 private:
  struct Entry {
    int event_id;
    std::optional<Uuid> object;
    Handler handler;
  };

  boost::asio::io_context& loop_;
  std::map<std::uint64_t, Entry> entries_;
  std::uint64_t next_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace warren::driver::loop
