// What the admin protocol looks at and changes: the daemon's servers, their clients and limits, and its log.
//
// Loop thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "daemon/log/log.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc {

struct ClientDescription {
  std::uint64_t id = 0;
  std::chrono::system_clock::time_point connected;
  Peer peer;
  bool read_only = false;
};

struct ClientLimits {
  unsigned int most = 0;
  unsigned int most_anonymous = 0;  // that have not opened their connection
  friend bool operator==(const ClientLimits&, const ClientLimits&) = default;
};

// A set of sockets with its clients.
class ManagedServer {
 public:
  virtual const std::string& name() const = 0;
  virtual std::vector<ClientDescription> clients() const = 0;  // by id
  virtual unsigned int anonymous_count() const = 0;
  // False when there is no such client.
  virtual bool disconnect(std::uint64_t client) = 0;
  virtual ClientLimits limits() const = 0;
  virtual void set_limits(const ClientLimits& limits) = 0;

 protected:
  ~ManagedServer() = default;
};

struct Administration {
  std::vector<ManagedServer*> servers;
  Log& log;
  // Ends the daemon after so long without clients and domains; 0: never.
  std::function<void(std::chrono::seconds)> set_timeout;
};

}  // namespace warren::daemon::rpc
