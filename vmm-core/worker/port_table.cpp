#include "vmm-core/worker/port_table.h"

#include <algorithm>
#include <exception>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace warren::vmm::worker {

PortTable::PortTable(boost::asio::io_context& loop, Handler handler)
    : loop_(loop), handler_(std::move(handler)), timer_(loop) {}

std::span<PortTable::Place> PortTable::add_console(std::size_t ports) {
  return consoles_.emplace_back(std::make_unique<Place[]>(ports), ports).all();
}

void PortTable::occupy(Place& place, const std::string& id) {
  place.id_ = id;
}

void PortTable::vacate(Place& place) noexcept {
  place.id_.clear();
  place.is_open_.store(false);
  place.is_told_open_ = false;
}

std::vector<std::string> PortTable::open_ports() const {
  std::vector<std::string> ids;
  for (const Console& console : consoles_)
    for (const Place& place : console.all())
      if (place.is_told_open_) ids.push_back(place.id_);
  return ids;
}

void PortTable::guest_opened(Place& place, bool open) noexcept {
  place.is_open_.store(open);
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
  for (const Console& console : consoles_) {
    for (Place& place : console.all()) {
      const bool is_open = place.is_open_.load();
      if (place.is_told_open_ == is_open) continue;
      place.is_told_open_ = is_open;
      is_changed = true;
      handler_(place.id_, is_open);
    }
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
  const bool is_behind = std::ranges::any_of(consoles_, [](const Console& console) {
    return std::ranges::any_of(
        console.all(), [](const Place& place) { return place.is_open_.load() != place.is_told_open_; });
  });
  if (is_behind) look_soon();
}

}  // namespace warren::vmm::worker
