#include "vmm-core/worker/port_table.h"

#include <algorithm>
#include <exception>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace warren::vmm::worker {

PortTable::PortTable(boost::asio::io_context& loop, Handler handler)
    : loop_(loop), handler_(std::move(handler)), timer_(loop) {}

std::size_t PortTable::add(const std::string& id) {
  ports_.emplace_back().id = id;
  return ports_.size() - 1;
}

void PortTable::forget(std::size_t place) noexcept {
  ports_[place].id.clear();
  ports_[place].is_open.store(false);
  ports_[place].is_told_open = false;
}

std::vector<std::string> PortTable::open_ports() const {
  std::vector<std::string> ids;
  for (const Port& port : ports_)
    if (port.is_told_open) ids.push_back(port.id);
  return ids;
}

void PortTable::guest_opened(std::size_t place, bool open) noexcept {
  ports_[place].is_open.store(open);
  look_soon();
}

void PortTable::look_soon() noexcept {
  if (will_look_.exchange(true)) return;
  try {
    boost::asio::post(loop_, [this] { look(); });
  } catch (const std::exception&) {
    // No memory for one small message: the next change tells of this one too.
    will_look_.store(false);
  }
}

void PortTable::look() noexcept {
  bool is_changed = false;
  for (Port& port : ports_) {
    const bool is_open = port.is_open.load();
    if (port.is_told_open == is_open) continue;
    port.is_told_open = is_open;
    is_changed = true;
    handler_(port.id, is_open);
  }
  if (is_changed) {
    timer_.expires_after(kInterval);
    timer_.async_wait([this](boost::system::error_code cancelled) {
      if (!cancelled) look();
    });
    return;
  }
  will_look_.store(false);
  // Of a change that came in between nobody else will tell.
  const bool is_behind = std::any_of(ports_.begin(), ports_.end(), [](const Port& port) {
    return port.is_open.load() != port.is_told_open;
  });
  if (is_behind) look_soon();
}

}  // namespace warren::vmm::worker
