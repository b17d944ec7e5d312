#include "vmm-core/control/server.h"

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>
#include <vector>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <fcntl.h>
#include <sys/socket.h>

#include "vmm-core/control/block_job_server.h"
#include "vmm-core/control/connection.h"
#include "vmm-core/control/disk_server.h"
#include "vmm-core/control/json_codec.h"
#include "vmm-core/control/memory_server.h"
#include "vmm-core/control/probe_server.h"
#include "vmm-core/control/small_device_server.h"
#include "vmm-core/control/vcpu_server.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {
namespace asio = boost::asio;
namespace json = boost::json;

namespace {

json::value tree_to_json(const InspectNode& node) {
  json::object object;
  for (const auto& [name, value] : node.values()) {
    std::visit([&](const auto& held) { object.emplace(name, held); }, value);
  }
  for (const auto& [name, child] : node.children()) object.emplace(name, tree_to_json(child));
  return object;
}

json::object event(const char* name, json::value data) {
  return {{"event", name}, {"data", std::move(data)}};
}

template <typename T>
T arguments_of(const json::object& message) {
  const auto* arguments = message.if_contains("arguments");
  return from_json<T>(arguments == nullptr ? json::value(json::object()) : *arguments, "arguments");
}

struct Answer {
  json::value value = json::object();
  std::vector<FileDescriptor> descriptors;
};

}  // namespace

class Server::Implementation : public std::enable_shared_from_this<Implementation> {
 public:
  Implementation(asio::io_context& loop, FileDescriptor listener, Commands& commands)
      : loop_(loop), listener_(loop), commands_(commands) {
    if (!listener) return;
    listener_.assign(listener.get());
    listener.release();  // Asio closes it
    listener_.native_non_blocking(true);
  }

  void open() {
    if (listener_.is_open()) wait_to_accept();
  }

  void shut() {
    boost::system::error_code ignored;
    listener_.close(ignored);
    for (auto& peer : peers_) peer.connection->close();
    peers_.clear();
  }

  template <typename Body>
  bool announce(const char* name, const Body& body) {
    const json::value data = to_json(body);
    for (auto& peer : peers_) peer.connection->send(event(name, data));
    return !peers_.empty();
  }

 private:
  // Descriptors stay with the connection that delivered them until its configure.
  struct Peer {
    std::shared_ptr<Connection> connection;
    DescriptorSet descriptors;
  };

  void wait_to_accept() {
    listener_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [self = weak_from_this()](boost::system::error_code failed) {
                           auto alive = self.lock();
                           if (failed || !alive) return;
                           alive->accept();
                           alive->wait_to_accept();
                         });
  }

  void accept() {
    FileDescriptor socket(
        ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket || peers_.size() >= kMaximumConnections) return;
    auto connection = std::make_shared<Connection>(loop_, std::move(socket));
    peers_.push_back({connection, {}});
    auto* key = connection.get();
    connection->open(
        [self = weak_from_this(), key](json::object message, std::vector<FileDescriptor> descriptors) {
          if (auto alive = self.lock()) alive->serve(key, message, std::move(descriptors));
        },
        [self = weak_from_this(), key](const std::string&) {
          if (auto alive = self.lock()) {
            std::erase_if(alive->peers_, [key](const Peer& peer) { return peer.connection.get() == key; });
          }
        });
    connection->send(event("hello", to_json(commands_.status())));
  }

  void serve(const Connection* key, const json::object& message, std::vector<FileDescriptor> descriptors) {
    auto peer =
        std::find_if(peers_.begin(), peers_.end(), [&](const Peer& p) { return p.connection.get() == key; });
    if (peer == peers_.end()) return;
    auto connection = peer->connection;
    json::object reply;
    if (const auto* id = message.if_contains("id")) reply["id"] = *id;
    std::vector<FileDescriptor> given;
    try {
      Answer answer = execute(*peer, message, std::move(descriptors));
      reply["return"] = std::move(answer.value);
      given = std::move(answer.descriptors);
    } catch (const Error& error) {
      reply["error"] = {
          {"class", "GenericError"}, {"desc", error.what()}, {"errno", static_cast<int>(error.code())}};
    } catch (const std::exception& error) {
      // No memory for what it asks, as a rule: one command fails, and the guest goes on.
      reply["error"] = {{"class", "GenericError"}, {"desc", error.what()}, {"errno", ENOMEM}};
    }
    connection->send(std::move(reply), std::move(given));
  }

  Answer execute(Peer& peer, const json::object& message, std::vector<FileDescriptor> descriptors) {
    const auto* member = message.if_contains("execute");
    const auto* name = member == nullptr ? nullptr : member->if_string();
    if (name == nullptr) throw Error(std::errc::invalid_argument, "control message without \"execute\"");
    if (*name == "add_descriptors") return add_descriptors(peer, message, std::move(descriptors));
    if (*name == "configure") return configure(peer, message);
    if (*name == "plug_device") return plug_device(peer, message);
    if (*name == "change_medium") return change_medium(peer, message);
    if (*name == "plug_port") return plug_port(peer, message);
    if (*name == "reconnect_interface") return reconnect_interface(peer, message);
    if (*name == "start") {
      commands_.start(arguments_of<Start>(message).paused);
      return {};
    }
    const auto* arguments = message.if_contains("arguments");
    std::vector<FileDescriptor> given;
    if (auto answer =
            serve_probe(commands_, *name, arguments == nullptr ? json::value(json::object()) : *arguments,
                        descriptors, given)) {
      return {*std::move(answer), std::move(given)};
    }
    if (auto answer = serve_block_job_command(commands_, *name,
                                              arguments == nullptr ? json::value(json::object()) : *arguments,
                                              peer.descriptors)) {
      return {*std::move(answer), {}};
    }
    if (auto answer = serve_disk_command(commands_, *name,
                                         arguments == nullptr ? json::value(json::object()) : *arguments)) {
      return {*std::move(answer), {}};
    }
    if (arguments != nullptr && serve_small_device_command(commands_, *name, *arguments)) return {};
    if (arguments != nullptr && serve_vcpu_command(commands_, *name, *arguments)) return {};
    if (arguments != nullptr && serve_memory_command(commands_, *name, *arguments)) return {};
    if (*name == "unplug_device") {
      commands_.unplug_device(arguments_of<DeviceName>(message));
      return {};
    }
    if (*name == "unplug_port") {
      commands_.unplug_port(arguments_of<DeviceName>(message));
      return {};
    }
    if (*name == "set_link") {
      commands_.set_link(arguments_of<SetLink>(message));
      return {};
    }
    if (*name == "answer_vsock") {
      commands_.answer_vsock(arguments_of<AnswerVsock>(message),
                             descriptors.empty() ? FileDescriptor() : std::move(descriptors.front()));
      return {};
    }
    arguments_of<Nothing>(message);
    if (*name == "status") return {to_json(commands_.status()), {}};
    if (*name == "inspect") {
      InspectNode root;
      commands_.inspect(root);
      return {tree_to_json(root), {}};
    }
    if (*name == "counters") {
      Answer answer;
      answer.descriptors.push_back(commands_.counters());
      return answer;
    }
    return act(std::string(*name));
  }

  Answer act(const std::string& name) {
    static constexpr std::pair<const char*, void (Commands::*)()> kActions[] = {
        {"pause", &Commands::pause},
        {"resume", &Commands::resume},
        {"reset", &Commands::reset},
        {"power_button", &Commands::power_button},
        {"ctrl_alt_del", &Commands::ctrl_alt_del},
        {"wake", &Commands::wake},
        {"quit", &Commands::quit},
    };
    for (const auto& [known, action] : kActions) {
      if (name != known) continue;
      (commands_.*action)();
      return {};
    }
    throw Error(std::errc::function_not_supported, "control command '" + name + "'");
  }

  static Answer add_descriptors(Peer& peer, const json::object& message,
                                std::vector<FileDescriptor> descriptors) {
    const auto arguments = arguments_of<AddDescriptors>(message);
    if (arguments.names.size() != descriptors.size()) {
      throw Error(std::errc::invalid_argument, "add_descriptors names " +
                                                   std::to_string(arguments.names.size()) + " and brings " +
                                                   std::to_string(descriptors.size()));
    }
    if (peer.descriptors.size() + descriptors.size() > kMaximumHeldDescriptors) {
      throw Error(std::errc::too_many_files_open, "add_descriptors");
    }
    for (const auto& name : arguments.names) {
      if (peer.descriptors.contains(name)) throw Error(std::errc::file_exists, "descriptor '" + name + "'");
    }
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      peer.descriptors.insert_or_assign(arguments.names[i], std::move(descriptors[i]));
    }
    return {};
  }

  // What was delivered for a device that is refused is closed with it.
  // For what takes descriptors: they are all there, and the peer has none left.
  template <typename T>
  T arguments_with_descriptors(Peer& peer, const json::object& message, const char* command,
                               DescriptorSet& descriptors) {
    descriptors = std::exchange(peer.descriptors, {});
    T arguments = arguments_of<T>(message);
    validate(arguments);
    require_delivered(descriptors, descriptor_names(arguments), command);
    return arguments;
  }

  Answer plug_device(Peer& peer, const json::object& message) {
    DescriptorSet descriptors;
    const auto arguments = arguments_with_descriptors<PlugDevice>(peer, message, "plug_device", descriptors);
    commands_.plug_device(arguments, std::move(descriptors));
    return {};
  }

  Answer change_medium(Peer& peer, const json::object& message) {
    DescriptorSet descriptors;
    const auto arguments =
        arguments_with_descriptors<ChangeMedium>(peer, message, "change_medium", descriptors);
    commands_.change_medium(arguments, std::move(descriptors));
    return {};
  }

  Answer plug_port(Peer& peer, const json::object& message) {
    DescriptorSet descriptors;
    const auto arguments = arguments_with_descriptors<PlugPort>(peer, message, "plug_port", descriptors);
    commands_.plug_port(arguments, std::move(descriptors));
    return {};
  }

  Answer reconnect_interface(Peer& peer, const json::object& message) {
    DescriptorSet descriptors;
    const auto arguments =
        arguments_with_descriptors<ReconnectInterface>(peer, message, "reconnect_interface", descriptors);
    commands_.reconnect_interface(arguments, std::move(descriptors));
    return {};
  }

  static void require_delivered(const DescriptorSet& descriptors, const std::vector<std::string>& names,
                                const std::string& command) {
    for (const auto& name : names) {
      if (descriptors.contains(name)) continue;
      throw Error(std::errc::bad_file_descriptor,
                  command + " names descriptor '" + name + "', which was not delivered");
    }
  }

  Answer configure(Peer& peer, const json::object& message) {
    const auto arguments = arguments_of<Configure>(message);
    validate(arguments.machine);
    require_delivered(peer.descriptors, descriptor_names(arguments.machine), "configure");
    commands_.configure(arguments.machine, std::exchange(peer.descriptors, {}));
    return {};
  }

  static constexpr std::size_t kMaximumHeldDescriptors = 4096;

  asio::io_context& loop_;
  asio::posix::stream_descriptor listener_;
  Commands& commands_;
  std::vector<Peer> peers_;
};

Server::Server(asio::io_context& loop, FileDescriptor listener, Commands& commands)
    : implementation_(std::make_shared<Implementation>(loop, std::move(listener), commands)) {
  implementation_->open();
}

Server::~Server() {
  implementation_->shut();
}

void Server::announce(const StateChanged& change) {
  implementation_->announce("state_changed", change);
}

void Server::announce(const ClockSet& change) {
  implementation_->announce("clock_set", change);
}

void Server::announce(const DiskFault& fault) {
  implementation_->announce("disk_fault", fault);
}

void Server::announce(const DiskThresholdCrossed& crossed) {
  implementation_->announce("disk_threshold", crossed);
}

void Server::announce(const BlockJob& job) {
  implementation_->announce("block_job_changed", job);
}

void Server::announce(const PortChanged& change) {
  implementation_->announce("port_changed", change);
}

void Server::announce(const TrayMoved& moved) {
  implementation_->announce("tray_moved", moved);
}

void Server::announce(const BalloonChanged& change) {
  implementation_->announce("balloon_changed", change);
}

void Server::announce(const WatchdogExpired& expired) {
  implementation_->announce("watchdog_expired", expired);
}

void Server::announce(const MemoryResized& resized) {
  implementation_->announce("memory_resized", resized);
}

void Server::announce(const MemoryFailed& failure) {
  implementation_->announce("memory_failed", failure);
}

bool Server::announce(const VsockConnectionWanted& wanted) {
  return implementation_->announce("vsock_connection_wanted", wanted);
}

void Server::announce_lost(const DeviceName& interface) {
  implementation_->announce("interface_lost", interface);
}

void Server::announce_unplugged(const DeviceName& device) {
  implementation_->announce("device_unplugged", device);
}

void Server::announce_kept(const DeviceName& device) {
  implementation_->announce("device_kept", device);
}

void Server::announce_unplugged(const VcpuNumber& vcpu) {
  implementation_->announce("vcpu_unplugged", vcpu);
}

void Server::announce_kept(const VcpuNumber& vcpu) {
  implementation_->announce("vcpu_kept", vcpu);
}

std::string format_inspection(const InspectNode& root) {
  return json::serialize(tree_to_json(root));
}

}  // namespace warren::vmm::control
