#include "driver/domain/domain_agent.h"

#include <algorithm>

#include <fmt/format.h>
#include <libvirt/libvirt-qemu.h>

#include "driver/domain/domain.h"

namespace warren::driver::domain {

namespace {

constexpr int kDefaultSeconds = 5;

std::optional<std::chrono::milliseconds> deadline_of(int timeout) {
  if (timeout == VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK) return std::nullopt;
  return std::chrono::seconds(timeout < 0 ? kDefaultSeconds : timeout);
}

// Synchronizing never takes for good, and not longer than the domain's own time-out.
std::chrono::milliseconds synchronization_deadline(int timeout) {
  return std::chrono::seconds(timeout < 0 ? kDefaultSeconds : std::min(timeout, kDefaultSeconds));
}

Error error_of_failure(agent::Failure failure, const std::string& command) {
  switch (failure) {
    case agent::Failure::disconnected:
      return {VIR_ERR_AGENT_UNRESPONSIVE, "Guest agent disappeared while executing command"};
    case agent::Failure::malformed:
      return internal_error(
          fmt::format("the guest agent's reply to {} is malformed or too long and was dropped", command));
    default:
      return {VIR_ERR_AGENT_UNRESPONSIVE, "Guest agent not available for now"};
  }
}

// A guest's words within a message: bounded, and cut between characters.
std::string clip(std::string text) {
  constexpr std::size_t kMost = 1024;
  if (text.size() <= kMost) return text;
  std::size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  text.resize(end);
  return text + "…";
}

std::string error_class(const agent::Value& reply) {
  auto error = reply.find("error");
  return error && error->is_object() ? error->find_text("class").value_or("") : "";
}

// Throws unless the reply is a success.
void check(const agent::Value& reply, const std::string& command) {
  if (!reply.has("error")) {
    if (reply.has("return")) return;
    throw internal_error(fmt::format("unable to execute QEMU agent command '{}'", clip(command)));
  }
  auto error = reply.find("error");
  std::string detail;
  if (error && error->is_object()) {
    detail = error->find_text("desc").value_or("");
    if (detail.empty()) detail = error->find_text("class").value_or("");
  }
  if (detail.empty()) detail = "unknown QEMU command error";
  throw internal_error(
      fmt::format("unable to execute QEMU agent command '{}': {}", clip(command), clip(detail)));
}

}  // namespace

std::optional<std::string> agent_socket_of(const config::DomainDefinition& live) {
  const config::Channel* channel = agent_channel_of(live);
  if (channel == nullptr || channel->backend.type != config::CharacterBackendType::unix_socket ||
      channel->backend.socket_mode == config::SocketMode::connect)
    return std::nullopt;
  return channel->backend.path;
}

const config::Channel* agent_channel_of(const config::DomainDefinition& definition) {
  const auto& channels = definition.devices.channels;
  const auto found = std::find_if(channels.begin(), channels.end(), [](const config::Channel& channel) {
    return channel.name == "org.qemu.guest_agent.0";
  });
  return found == channels.end() ? nullptr : &*found;
}

Task<agent::Reply> AgentSession::run(std::string line, std::string command, int timeout) {
  agent::Exchange exchange{.line = std::move(line),
                           .command = command,
                           .synchronization_deadline = synchronization_deadline(timeout_),
                           .deadline = deadline_of(timeout)};
  auto outcome = co_await agent_->exchange(std::move(exchange));
  if (!*outcome) throw error_of_failure(outcome->error(), clip(command));
  co_return std::move(**outcome);
}

Task<agent::Value> AgentSession::ask(agent::Request request) {
  agent::Reply reply = co_await run(request.line(), request.command(), timeout_);
  check(reply.value, request.command());
  co_return reply.value.member("return");
}

Task<std::optional<agent::Value>> AgentSession::ask_if_known(agent::Request request) {
  agent::Reply reply = co_await run(request.line(), request.command(), timeout_);
  const std::string failed = error_class(reply.value);
  if (failed == "CommandNotFound" || failed == "CommandDisabled") co_return std::nullopt;
  check(reply.value, request.command());
  co_return reply.value.member("return");
}

Task<> AgentSession::end_with(agent::Request request, int timeout) {
  agent::Exchange exchange{.line = request.line(),
                           .command = request.command(),
                           .synchronization_deadline = synchronization_deadline(timeout_),
                           .deadline = deadline_of(timeout)};
  auto outcome = co_await agent_->exchange(std::move(exchange));
  if (*outcome) {
    check((*outcome)->value, request.command());
  } else if (outcome->error() != agent::Failure::disconnected) {
    throw error_of_failure(outcome->error(), request.command());
  }
}

Task<std::string> AgentSession::raw(agent::RawRequest request, int timeout) {
  agent::Reply reply = co_await run(request.line, request.command, timeout);
  check(reply.value, request.command);
  co_return agent::compact(reply.text);
}

// ---- Domain: the agent's life beside the machine's

void Domain::open_agent(int reason) {
  const bool was_open = agent_ && agent_->is_open();
  close_agent();
  auto path = environment_->agent_socket(*live_);
  if (!path) return;
  agent_ = std::make_shared<GuestAgent>(environment_->loop, std::move(*path), name_,
                                        environment_->settings.job_timeout);
  const config::Channel* channel = agent_channel_of(*live_);
  const bool is_open = channel != nullptr && channel->connected.value_or(false);
  agent_->set_open(is_open);
  if (is_open != was_open || reason == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_DOMAIN_STARTED)
    tell_agent_state(reason);
}

void Domain::follow_agent() {
  const config::Channel* channel = agent_channel_of(*live_);
  if (!agent_ || channel == nullptr) return;
  const bool is_open = channel->connected.value_or(false);
  if (agent_->is_open() == is_open) return;
  agent_->set_open(is_open);
  tell_agent_state(VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL);
}

void Domain::tell_agent_state(int reason) {
  emit(AgentLifecycleEvent{agent_->is_open() ? VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
                                             : VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED,
                           reason});
}

void Domain::close_agent() {
  if (auto agent = std::exchange(agent_, nullptr)) agent->close();
}

std::shared_ptr<GuestAgent> Domain::require_agent() const {
  if (!is_active() || state_ != VIR_DOMAIN_RUNNING) throw operation_invalid("domain is not running");
  if (!agent_) throw Error(VIR_ERR_ARGUMENT_UNSUPPORTED, "QEMU guest agent is not configured");
  if (!agent_->is_open()) throw Error(VIR_ERR_AGENT_UNRESPONSIVE, "QEMU guest agent is not connected");
  if (!agent_->is_connected()) {
    throw Error(VIR_ERR_AGENT_UNRESPONSIVE,
                "QEMU guest agent is not available: its channel's socket cannot be connected to");
  }
  return agent_;
}

Task<AgentSession> Domain::agent_session(Caller caller, std::string job) {
  auto agent = require_agent();
  auto hold = co_await agent->slot().acquire(job_of(std::move(job), std::move(caller)));
  // The domain may have stopped, or its agent gone, while others had their turn.
  if (require_agent() != agent) {
    throw Error(VIR_ERR_AGENT_UNRESPONSIVE, "Guest agent disappeared while executing command");
  }
  co_return AgentSession(std::move(agent), std::move(hold), agent_timeout_);
}

bool Domain::has_agent() const noexcept {
  return agent_ && agent_->is_connected();
}

Task<> Domain::set_agent_timeout(Caller caller, int timeout) {
  auto hold = co_await slot_.acquire(job_of("set the agent's time-out", std::move(caller)));
  agent_timeout_ = timeout;
  if (is_active()) co_await write_status();
}

Task<> Domain::shutdown_by_agent(Caller caller, std::string job, bool then_restart) {
  auto session = co_await agent_session(std::move(caller), std::move(job));
  if (!then_restart && reboot_requested_) {
    reboot_requested_ = false;
    co_await write_status();
  }
  agent::Request request("guest-shutdown");
  request.text("mode", then_restart ? "reboot" : "powerdown");
  co_await session.end_with(std::move(request), VIR_DOMAIN_QEMU_AGENT_COMMAND_SHUTDOWN);
}

}  // namespace warren::driver::domain
