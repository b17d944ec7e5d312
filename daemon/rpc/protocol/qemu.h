// Arguments and results of the QEMU program (libvirt-qemu.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/objects.h"

namespace warren::daemon::rpc::protocol {

struct DomainMonitorCommandArgs {
  Domain dom;
  std::string cmd;
  std::uint32_t flags = 0;
};

struct DomainMonitorCommandResult {
  std::string result;
};

struct DomainAttachArgs {
  std::uint32_t pid_value = 0;
  std::uint32_t flags = 0;
};

struct DomainAttachResult {
  Domain dom;
};

struct DomainAgentCommandArgs {
  Domain dom;
  std::string cmd;
  std::int32_t timeout = 0;
  std::uint32_t flags = 0;
};

struct DomainAgentCommandResult {
  std::optional<std::string> result;
};

struct ConnectDomainMonitorEventRegisterArgs {
  std::optional<Domain> dom;
  std::optional<std::string> event;
  std::uint32_t flags = 0;
};

struct ConnectDomainMonitorEventRegisterResult {
  std::int32_t callback_id = 0;
};

struct ConnectDomainMonitorEventDeregisterArgs {
  std::int32_t callback_id = 0;
};

struct DomainMonitorEventMsg {
  std::int32_t callback_id = 0;
  Domain dom;
  std::string event;
  std::int64_t seconds = 0;
  std::uint32_t micros = 0;
  std::optional<std::string> details;
};

struct DomainMonitorCommandWithFilesArgs {
  Domain dom;
  std::string cmd;
  std::uint32_t flags = 0;
};

struct DomainMonitorCommandWithFilesResult {
  std::string result;
};

}  // namespace warren::daemon::rpc::protocol
