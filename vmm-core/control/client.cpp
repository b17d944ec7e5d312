#include "vmm-core/control/client.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>
#include <map>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm-core/control/connection.h"
#include "vmm-core/control/json_codec.h"

namespace warren::vmm::control {
namespace asio = boost::asio;
namespace json = boost::json;

namespace {
struct Answer {
  json::value value;
  std::vector<FileDescriptor> descriptors;
};
using AnswerHandler = std::move_only_function<void(std::expected<Answer, Error>)>;
using Clock = std::chrono::steady_clock;
}  // namespace

class Client::Implementation : public std::enable_shared_from_this<Implementation> {
 public:
  Implementation(asio::io_context& loop, FileDescriptor socket, Handlers handlers)
      : connection_(std::make_shared<Connection>(loop, std::move(socket))),
        timer_(loop),
        handlers_(std::move(handlers)) {}

  void open() {
    connection_->open(
        [self = weak_from_this()](json::object message, std::vector<FileDescriptor> descriptors) {
          if (auto alive = self.lock()) alive->receive(std::move(message), std::move(descriptors));
        },
        [self = weak_from_this()](const std::string& reason) {
          if (auto alive = self.lock()) alive->closed(reason);
        });
  }

  void shut() {
    connection_->close();
    timer_.cancel();
    handlers_ = {};
    fail_all(Error(std::errc::connection_aborted, "worker connection was dropped"));
  }

  // Nobody is told: what waits for an answer is destroyed, which may end whoever holds this.
  void abandon() {
    const auto self = shared_from_this();
    handlers_ = {};
    const auto pending = std::exchange(pending_, {});
  }

  void request(const char* command, json::value arguments, std::vector<FileDescriptor> descriptors,
               AnswerHandler handler) {
    const std::int64_t id = next_id_++;
    json::object message{{"execute", command}, {"id", id}};
    if (!arguments.get_object().empty()) message["arguments"] = std::move(arguments);
    pending_.emplace(id, Pending{command, Clock::now() + deadline_, std::move(handler)});
    if (is_closed_) return fail_soon();
    connection_->send(std::move(message), std::move(descriptors));
    arm();
  }

  void set_deadline(std::chrono::milliseconds deadline) noexcept { deadline_ = deadline; }

 private:
  struct Pending {
    std::string command;
    Clock::time_point deadline;
    AnswerHandler handler;
  };

  void receive(json::object message, std::vector<FileDescriptor> descriptors) {
    if (const auto* event = message.if_contains("event")) return receive_event(*event, message);
    const auto* id = message.if_contains("id");
    const std::int64_t* number = id == nullptr ? nullptr : id->if_int64();
    if (number == nullptr) throw Error(std::errc::protocol_error, "worker's answer without an id");
    auto found = pending_.find(*number);
    if (found == pending_.end()) return;  // it came after its deadline
    auto pending = std::move(found->second);
    pending_.erase(found);
    if (auto* result = message.if_contains("return")) {
      return pending.handler(Answer{std::move(*result), std::move(descriptors)});
    }
    pending.handler(std::unexpected(refusal(pending.command, message)));
  }

  static Error refusal(const std::string& command, const json::object& message) {
    const auto* error = message.if_contains("error");
    const auto* object = error == nullptr ? nullptr : error->if_object();
    const auto* text = object == nullptr ? nullptr : object->if_contains("desc");
    const auto* code = object == nullptr ? nullptr : object->if_contains("errno");
    const std::int64_t* number = code == nullptr ? nullptr : code->if_int64();
    const bool known = number != nullptr && *number > 0 && *number < 4096;
    return {known ? static_cast<std::errc>(*number) : std::errc::protocol_error,
            text != nullptr && text->is_string() ? std::string(text->get_string())
                                                 : "worker's answer to " + command + " is malformed"};
  }

  void receive_event(const json::value& event, const json::object& message) {
    const auto* name = event.if_string();
    const auto* data = message.if_contains("data");
    if (name == nullptr || data == nullptr)
      throw Error(std::errc::protocol_error, "worker's event is malformed");
    if (*name == "hello") {
      auto handler = handlers_.hello;
      const auto status = from_json<Status>(*data, "hello");
      if (handler) handler(status);
    } else if (*name == "state_changed") {
      auto handler = handlers_.state_changed;
      const auto change = from_json<StateChanged>(*data, "state_changed");
      if (handler) handler(change);
    } else if (*name == "clock_set") {
      auto handler = handlers_.clock_set;
      const auto change = from_json<ClockSet>(*data, "clock_set");
      if (handler) handler(change);
    } else if (*name == "disk_fault") {
      auto handler = handlers_.disk_fault;
      const auto fault = from_json<DiskFault>(*data, "disk_fault");
      if (handler) handler(fault);
    } else if (*name == "disk_threshold") {
      auto handler = handlers_.disk_threshold;
      const auto crossed = from_json<DiskThresholdCrossed>(*data, "disk_threshold");
      if (handler) handler(crossed);
    } else if (*name == "block_job_changed") {
      auto handler = handlers_.block_job_changed;
      const auto job = from_json<BlockJob>(*data, "block_job_changed");
      if (handler) handler(job);
    } else if (*name == "port_changed") {
      auto handler = handlers_.port_changed;
      const auto change = from_json<PortChanged>(*data, "port_changed");
      if (handler) handler(change);
    } else if (*name == "balloon_changed") {
      auto handler = handlers_.balloon_changed;
      const auto change = from_json<BalloonChanged>(*data, "balloon_changed");
      if (handler) handler(change);
    } else if (*name == "watchdog_expired") {
      auto handler = handlers_.watchdog_expired;
      const auto expired = from_json<WatchdogExpired>(*data, "watchdog_expired");
      if (handler) handler(expired);
    } else if (*name == "memory_failed") {
      auto handler = handlers_.memory_failed;
      const auto failure = from_json<MemoryFailed>(*data, "memory_failed");
      if (handler) handler(failure);
    } else if (*name == "tray_moved") {
      auto handler = handlers_.tray_moved;
      const auto moved = from_json<TrayMoved>(*data, "tray_moved");
      if (handler) handler(moved);
    } else if (*name == "device_unplugged" || *name == "device_kept") {
      auto handler = *name == "device_kept" ? handlers_.device_kept : handlers_.device_unplugged;
      const auto device = from_json<DeviceName>(*data, "device");
      if (handler) handler(device);
    } else if (*name == "interface_lost") {
      auto handler = handlers_.interface_lost;
      const auto interface = from_json<DeviceName>(*data, "interface_lost");
      if (handler) handler(interface);
    } else if (*name == "memory_resized") {
      auto handler = handlers_.memory_resized;
      const auto resized = from_json<MemoryResized>(*data, "memory_resized");
      if (handler) handler(resized);
    } else if (*name == "vsock_connection_wanted") {
      auto handler = handlers_.vsock_connection_wanted;
      const auto wanted = from_json<VsockConnectionWanted>(*data, "vsock_connection_wanted");
      if (handler) handler(wanted);
    } else if (*name == "vcpu_unplugged" || *name == "vcpu_kept") {
      auto handler = *name == "vcpu_kept" ? handlers_.vcpu_kept : handlers_.vcpu_unplugged;
      const auto vcpu = from_json<VcpuNumber>(*data, "vCPU");
      if (handler) handler(vcpu);
    }
    // Events of a newer worker that this daemon does not know carry nothing it could act on.
  }

  void closed(const std::string& reason) {
    is_closed_ = true;
    timer_.cancel();
    auto handler = std::move(handlers_.closed);
    handlers_ = {};
    fail_all(
        Error(std::errc::connection_aborted, reason.empty() ? "worker closed its control socket" : reason));
    if (handler) handler(reason);
  }

  void fail_all(const Error& error) {
    auto pending = std::exchange(pending_, {});
    for (auto& [id, request] : pending) request.handler(std::unexpected(error));
  }

  // A request on a closed connection fails like any other: later, not from within the call.
  void fail_soon() {
    timer_.expires_after(std::chrono::seconds(0));
    timer_.async_wait([self = weak_from_this()](boost::system::error_code) {
      if (auto alive = self.lock()) {
        alive->fail_all(Error(std::errc::connection_aborted, "worker connection is closed"));
      }
    });
  }

  void arm() {
    if (pending_.empty()) {
      timer_.cancel();
      return;
    }
    auto first = std::min_element(pending_.begin(), pending_.end(), [](const auto& a, const auto& b) {
                   return a.second.deadline < b.second.deadline;
                 })->second.deadline;
    timer_.expires_at(first);
    timer_.async_wait([self = weak_from_this()](boost::system::error_code cancelled) {
      if (cancelled) return;
      if (auto alive = self.lock()) alive->expire();
    });
  }

  void expire() {
    std::vector<Pending> late;
    for (auto it = pending_.begin(); it != pending_.end();) {
      if (it->second.deadline > Clock::now()) {
        ++it;
        continue;
      }
      late.push_back(std::move(it->second));
      it = pending_.erase(it);
    }
    arm();
    for (auto& request : late) {
      request.handler(
          std::unexpected(Error(std::errc::timed_out, "worker did not answer '" + request.command + "'")));
    }
  }

  std::shared_ptr<Connection> connection_;
  asio::steady_timer timer_;
  Handlers handlers_;
  std::map<std::int64_t, Pending> pending_;
  std::int64_t next_id_ = 1;
  std::chrono::milliseconds deadline_ = kDefaultDeadline;
  bool is_closed_ = false;
};

namespace {

AnswerHandler expect_nothing(Client::Reply<void> reply) {
  return [reply = std::move(reply)](std::expected<Answer, Error> answer) mutable {
    if (answer) {
      reply({});
    } else {
      reply(std::unexpected(answer.error()));
    }
  };
}

template <typename T>
AnswerHandler expect_struct(const char* what, Client::Reply<T> reply) {
  return [what, reply = std::move(reply)](std::expected<Answer, Error> answer) mutable {
    if (!answer) return reply(std::unexpected(answer.error()));
    std::expected<T, Error> result = std::unexpected(Error(std::errc::protocol_error, what));
    try {
      result = from_json<T>(answer->value, what);
    } catch (const Error& error) {
      result = std::unexpected(error);
    }
    reply(std::move(result));
  };
}

std::optional<std::vector<std::uint8_t>> from_hexadecimal(const std::string& text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::vector<std::uint8_t> bytes(text.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char* begin = text.data() + 2 * i;
    const auto [end, failed] = std::from_chars(begin, begin + 2, bytes[i], 16);
    if (failed != std::errc{} || end != begin + 2) return std::nullopt;
  }
  return bytes;
}

}  // namespace

Client::Client(asio::io_context& loop, FileDescriptor socket, Handlers handlers)
    : implementation_(std::make_shared<Implementation>(loop, std::move(socket), std::move(handlers))) {
  implementation_->open();
}

void Client::abandon() noexcept {
  implementation_->abandon();
}

Client::~Client() {
  implementation_->shut();
}

void Client::set_deadline(std::chrono::milliseconds deadline) noexcept {
  implementation_->set_deadline(deadline);
}

void Client::add_descriptors(std::vector<std::string> names, std::vector<FileDescriptor> descriptors,
                             Reply<void> reply) {
  // Only the last message's answer is the caller's; an earlier refusal makes the worker refuse configure too,
  // since a name is then missing.
  std::size_t begin = 0;
  while (names.size() - begin > kMaximumDescriptorsPerMessage) {
    const auto first = static_cast<std::ptrdiff_t>(begin);
    const auto last = static_cast<std::ptrdiff_t>(begin + kMaximumDescriptorsPerMessage);
    AddDescriptors part{{names.begin() + first, names.begin() + last}};
    std::vector<FileDescriptor> some(std::make_move_iterator(descriptors.begin() + first),
                                     std::make_move_iterator(descriptors.begin() + last));
    implementation_->request("add_descriptors", to_json(part), std::move(some), expect_nothing([](auto) {}));
    begin += kMaximumDescriptorsPerMessage;
  }
  const auto first = static_cast<std::ptrdiff_t>(begin);
  AddDescriptors rest{{names.begin() + first, names.end()}};
  std::vector<FileDescriptor> some(std::make_move_iterator(descriptors.begin() + first),
                                   std::make_move_iterator(descriptors.end()));
  implementation_->request("add_descriptors", to_json(rest), std::move(some),
                           expect_nothing(std::move(reply)));
}

void Client::configure(const MachineSpecification& machine, Reply<void> reply) {
  implementation_->request("configure", to_json(Configure{machine}), {}, expect_nothing(std::move(reply)));
}

void Client::start(bool paused, Reply<void> reply) {
  implementation_->request("start", to_json(Start{paused}), {}, expect_nothing(std::move(reply)));
}

void Client::pause(Reply<void> reply) {
  implementation_->request("pause", json::object(), {}, expect_nothing(std::move(reply)));
}

void Client::resume(Reply<void> reply) {
  implementation_->request("resume", json::object(), {}, expect_nothing(std::move(reply)));
}

void Client::reset(Reply<void> reply) {
  implementation_->request("reset", json::object(), {}, expect_nothing(std::move(reply)));
}

void Client::power_button(Reply<void> reply) {
  implementation_->request("power_button", json::object(), {}, expect_nothing(std::move(reply)));
}

void Client::ctrl_alt_del(Reply<void> reply) {
  implementation_->request("ctrl_alt_del", json::object(), {}, expect_nothing(std::move(reply)));
}

void Client::wake(Reply<void> reply) {
  implementation_->request("wake", json::object(), {}, expect_nothing(std::move(reply)));
}

void Client::quit(Reply<void> reply) {
  implementation_->request("quit", json::object(), {}, expect_nothing(std::move(reply)));
}

void Client::resize_disk(const ResizeDisk& command, Reply<void> reply) {
  implementation_->request("resize_disk", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::set_disk_limits(const SetDiskLimits& command, Reply<void> reply) {
  implementation_->request("set_disk_limits", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::set_disk_threshold(const SetDiskThreshold& command, Reply<void> reply) {
  implementation_->request("set_disk_threshold", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::disk_sizes(Reply<DiskSizes> reply) {
  implementation_->request("disk_sizes", json::object(), {},
                           expect_struct<DiskSizes>("disk_sizes", std::move(reply)));
}

void Client::start_block_commit(const StartBlockCommit& command, Reply<void> reply) {
  implementation_->request("start_block_commit", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::start_block_pull(const StartBlockPull& command, Reply<void> reply) {
  implementation_->request("start_block_pull", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::start_block_copy(const StartBlockCopy& command, Reply<void> reply) {
  implementation_->request("start_block_copy", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::set_block_job_speed(const SetBlockJobSpeed& command, Reply<void> reply) {
  implementation_->request("set_block_job_speed", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::complete_block_job(const CompleteBlockJob& command, Reply<void> reply) {
  implementation_->request("complete_block_job", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::cancel_block_job(const BlockJobName& command, Reply<void> reply) {
  implementation_->request("cancel_block_job", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::dismiss_block_job(const BlockJobName& command, Reply<void> reply) {
  implementation_->request("dismiss_block_job", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::block_jobs(Reply<BlockJobs> reply) {
  implementation_->request("block_jobs", json::object(), {},
                           expect_struct<BlockJobs>("block_jobs", std::move(reply)));
}

void Client::request_memory(const RequestMemory& command, Reply<void> reply) {
  implementation_->request("request_memory", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::plug_dimm(const PlugDimm& command, Reply<void> reply) {
  implementation_->request("plug_dimm", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::unplug_dimm(const UnplugDimm& command, Reply<void> reply) {
  implementation_->request("unplug_dimm", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::set_balloon(const SetBalloon& command, Reply<void> reply) {
  implementation_->request("set_balloon", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::set_balloon_statistics_period(const SetBalloonStatisticsPeriod& command, Reply<void> reply) {
  implementation_->request("set_balloon_statistics_period", to_json(command), {},
                           expect_nothing(std::move(reply)));
}

void Client::plug_device(const PlugDevice& command, Reply<void> reply) {
  implementation_->request("plug_device", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::change_medium(const ChangeMedium& command, Reply<void> reply) {
  implementation_->request("change_medium", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::unplug_device(const DeviceName& command, Reply<void> reply) {
  implementation_->request("unplug_device", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::plug_port(const PlugPort& command, Reply<void> reply) {
  implementation_->request("plug_port", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::unplug_port(const DeviceName& command, Reply<void> reply) {
  implementation_->request("unplug_port", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::set_link(const SetLink& command, Reply<void> reply) {
  implementation_->request("set_link", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::reconnect_interface(const ReconnectInterface& command, FileDescriptor stream,
                                 Reply<void> reply) {
  std::vector<FileDescriptor> descriptors;
  descriptors.push_back(std::move(stream));
  add_descriptors({command.descriptor}, std::move(descriptors), [](auto) {});
  implementation_->request("reconnect_interface", to_json(command), {}, expect_nothing(std::move(reply)));
}

void Client::answer_vsock(const AnswerVsock& answer, FileDescriptor socket, Reply<void> reply) {
  std::vector<FileDescriptor> descriptors;
  if (socket) descriptors.push_back(std::move(socket));
  implementation_->request("answer_vsock", to_json(answer), std::move(descriptors),
                           expect_nothing(std::move(reply)));
}

void Client::inject_nmi(Reply<void> reply) {
  implementation_->request("inject_nmi", json::object(), {}, expect_nothing(std::move(reply)));
}

void Client::send_keys(const SendKeys& keys, Reply<void> reply) {
  implementation_->request("send_keys", to_json(keys), {}, expect_nothing(std::move(reply)));
}

void Client::send_input(const SendInput& input, Reply<void> reply) {
  implementation_->request("send_input", to_json(input), {}, expect_nothing(std::move(reply)));
}

void Client::set_reset_action(GuestAction action, Reply<void> reply) {
  implementation_->request("set_reset_action", to_json(SetResetAction{action}), {},
                           expect_nothing(std::move(reply)));
}

void Client::read_memory(const ReadMemory& range, Reply<std::vector<std::uint8_t>> reply) {
  auto unpack = [size = range.size,
                 reply = std::move(reply)](std::expected<MemoryBytes, Error> answer) mutable {
    if (!answer) return reply(std::unexpected(answer.error()));
    auto bytes = from_hexadecimal(answer->hexadecimal);
    if (!bytes || bytes->size() != size) {
      return reply(std::unexpected(Error(std::errc::protocol_error, "worker's answer to read_memory")));
    }
    reply(*std::move(bytes));
  };
  implementation_->request("read_memory", to_json(range), {},
                           expect_struct<MemoryBytes>("read_memory", std::move(unpack)));
}

void Client::dump(const BeginDump& how, FileDescriptor file, Reply<void> reply) {
  std::vector<FileDescriptor> descriptors;
  descriptors.push_back(std::move(file));
  implementation_->request("dump", to_json(how), std::move(descriptors), expect_nothing(std::move(reply)));
}

void Client::dump_status(Reply<DumpStatus> reply) {
  implementation_->request("dump_status", json::object(), {},
                           expect_struct<DumpStatus>("dump_status", std::move(reply)));
}

void Client::abort_dump(Reply<void> reply) {
  implementation_->request("abort_dump", json::object(), {}, expect_nothing(std::move(reply)));
}

void Client::add_iothread(std::uint32_t id, Reply<void> reply) {
  implementation_->request("add_iothread", to_json(IoThreadName{id}), {}, expect_nothing(std::move(reply)));
}

void Client::delete_iothread(std::uint32_t id, Reply<void> reply) {
  implementation_->request("delete_iothread", to_json(IoThreadName{id}), {},
                           expect_nothing(std::move(reply)));
}

void Client::start_dirty_rate(std::uint32_t seconds, Reply<void> reply) {
  implementation_->request("start_dirty_rate", to_json(StartDirtyRate{seconds}), {},
                           expect_nothing(std::move(reply)));
}

void Client::dirty_rate(Reply<DirtyRateStatus> reply) {
  implementation_->request("dirty_rate", json::object(), {},
                           expect_struct<DirtyRateStatus>("dirty_rate", std::move(reply)));
}

void Client::kvm_statistics(Reply<KvmStatisticsFiles> reply) {
  auto unpack = [reply = std::move(reply)](std::expected<Answer, Error> answer) mutable {
    if (!answer) return reply(std::unexpected(answer.error()));
    KvmStatisticsFiles result{.files = std::move(answer->descriptors), .names = {}};
    try {
      result.names = from_json<KvmStatisticsNames>(answer->value, "kvm_statistics");
    } catch (const Error& error) {
      return reply(std::unexpected(error));
    }
    reply(std::move(result));
  };
  implementation_->request("kvm_statistics", json::object(), {}, std::move(unpack));
}

void Client::plug_vcpus(const VcpuNumbers& numbers, Reply<void> reply) {
  implementation_->request("plug_vcpus", to_json(numbers), {}, expect_nothing(std::move(reply)));
}

void Client::unplug_vcpus(const VcpuNumbers& numbers, Reply<void> reply) {
  implementation_->request("unplug_vcpus", to_json(numbers), {}, expect_nothing(std::move(reply)));
}

void Client::status(Reply<Status> reply) {
  implementation_->request("status", json::object(), {}, expect_struct<Status>("status", std::move(reply)));
}

void Client::inspect(Reply<std::string> reply) {
  implementation_->request("inspect", json::object(), {},
                           [reply = std::move(reply)](std::expected<Answer, Error> answer) mutable {
                             if (!answer) return reply(std::unexpected(answer.error()));
                             reply(json::serialize(answer->value));
                           });
}

void Client::counters(Reply<FileDescriptor> reply) {
  implementation_->request(
      "counters", json::object(), {},
      [reply = std::move(reply)](std::expected<Answer, Error> answer) mutable {
        if (!answer) return reply(std::unexpected(answer.error()));
        if (answer->descriptors.size() != 1) {
          return reply(std::unexpected(
              Error(std::errc::protocol_error, "worker's counters came without a descriptor")));
        }
        reply(std::move(answer->descriptors.front()));
      });
}

}  // namespace warren::vmm::control
