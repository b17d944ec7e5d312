// What a helper tells the daemon while it works.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "driver/storage/backend_message.h"

namespace warren::driver::storage::backend {

class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void send(const Reply& reply) = 0;

  void volume(const VolumeDefinition& volume) { send({.kind = Reply::Kind::volume, .volume = volume}); }
  void pool(const PoolDefinition& pool) { send({.kind = Reply::Kind::pool, .pool = pool}); }
  // Bytes that the volume in the making has so far. Sent a few times a second at most, and also when nothing
  // has been made: the daemon takes silence for a hang.
  void progress(std::uint64_t bytes) {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_progress_) return;
    next_progress_ = now + std::chrono::milliseconds(250);
    send({.kind = Reply::Kind::progress, .number = bytes});
  }
  // An image that could not be marked with its declared format: the daemon is to remember it.
  void format(std::string_view path, std::string_view format) {
    send({.kind = Reply::Kind::format, .text = std::string(format), .path = std::string(path)});
  }

 private:
  std::chrono::steady_clock::time_point next_progress_;
};

}  // namespace warren::driver::storage::backend
