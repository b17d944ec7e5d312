// Delivers domain events to who asked for them, in order, from the loop and never from within the change that
// caused them. Implementation header (Asio). One thread.
#pragma once

#include <deque>
#include <map>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "driver/contract/events.h"

namespace warren::driver::domain {

// The virDomainEventID numbers an event answers to: two for an I/O error, one for any other.
bool answers_to(const DomainEvent& event, int event_id);

class EventHub {
 public:
  explicit EventHub(boost::asio::io_context& loop);

  EventSource::SubscriptionId subscribe(int event_id, std::optional<Uuid> domain,
                                        EventSource::Handler handler);
  void unsubscribe(EventSource::SubscriptionId id) noexcept;

  // The state it tells of is published already.
  void emit(DomainEvent event);

 private:
  struct Subscription {
    int event_id;
    std::optional<Uuid> domain;
    EventSource::Handler handler;
  };
  struct State {
    std::map<EventSource::SubscriptionId, std::shared_ptr<Subscription>> subscriptions;
    std::deque<DomainEvent> queue;
    bool posted = false;
  };

  static void deliver(State& state);

  boost::asio::io_context& loop_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
  EventSource::SubscriptionId next_id_ = 1;
};

}  // namespace warren::driver::domain
