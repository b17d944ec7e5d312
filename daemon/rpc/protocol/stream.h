// Arguments of the calls that open a stream for a console, a channel or a screenshot.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/objects.h"

namespace warren::daemon::rpc::protocol {

struct DomainOpenConsoleArgs {
  Domain dom;
  std::optional<std::string> dev_name;
  std::uint32_t flags = 0;
};

struct StorageVolUploadArgs {
  StorageVol vol;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint32_t flags = 0;
};

struct StorageVolDownloadArgs {
  StorageVol vol;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint32_t flags = 0;
};

struct DomainScreenshotArgs {
  Domain dom;
  std::uint32_t screen = 0;
  std::uint32_t flags = 0;
};

struct DomainScreenshotResult {
  std::optional<std::string> mime;
};

struct DomainOpenChannelArgs {
  Domain dom;
  std::optional<std::string> name;
  std::uint32_t flags = 0;
};

}  // namespace warren::daemon::rpc::protocol
