// What the daemon and a storage helper say to each other.
//
// A helper (warren-storage-helper) does one piece of work and ends. The daemon sends one Request on a stream
// socket; the helper answers with any number of `volume`, `pool`, `source` and `progress` records and then
// exactly one `done` or `failed`. Each message is a frame: its length as 32 bits, little endian, and so many
// bytes of JSON. The daemon closing the socket is the order to stop. What the other side sends is not
// trusted: a frame that is too long, no JSON or no message is the end of the conversation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "driver/storage/volume_definition.h"

namespace warren::driver::storage {

enum class Work {
  check_pool,  // whether it is there already: `done` with number 1 or 0
  start_pool,
  stop_pool,
  build_pool,   // flags: virStoragePoolBuildFlags
  delete_pool,  // flags: virStoragePoolDeleteFlags
  refresh_pool,
  find_sources,
  create_volume,
  clone_volume,
  delete_volume,
  refresh_volume,
  resize_volume,
  wipe_volume,
  upload_volume,    // data on a second socket, see transfer.h
  download_volume,  // likewise
};

struct Request {
  Work work = Work::check_pool;
  PoolDefinition pool;
  VolumeDefinition volume;
  std::optional<PoolDefinition> original_pool;  // of a clone
  std::optional<VolumeDefinition> original;
  std::uint32_t flags = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t capacity = 0;
  std::uint32_t algorithm = 0;
  std::string specification;        // of find_sources: <source>, or empty
  std::string secret;               // the passphrase of the pool's source
  std::vector<NamedValue> formats;  // declared formats by path, where an image cannot carry its mark
};

enum class ReplyKind { volume, pool, source, progress, format, done, failed };

struct Reply {
  using Kind = ReplyKind;
  Kind kind = Kind::done;
  std::optional<VolumeDefinition> volume;
  std::optional<PoolDefinition> pool;
  std::optional<PoolSource> source;
  std::uint64_t number = 0;  // progress: bytes in use; done: the answer
  std::int32_t code = 0;     // failed: a virErrorNumber
  std::string text;          // failed: the detail; format: that of `path`
  std::string path;          // format: an image that could not carry its mark
};

inline constexpr std::size_t kMostRequestBytes = 16u << 20;
inline constexpr std::size_t kMostReplyBytes = 1u << 20;

// With the frame's length before it.
std::string encode_message(const Request& request);
std::string encode_message(const Reply& reply);
// Of a frame's content. Throw driver::Error (INTERNAL_ERROR).
Request decode_request(std::string_view content);
Reply decode_reply(std::string_view content);

// Cuts a stream of bytes into frames.
class FrameReader {
 public:
  explicit FrameReader(std::size_t most) : most_(most) {}

  void append(std::string_view bytes);
  // The next whole frame, valid until the next append(). Throws driver::Error for one that is too long.
  std::optional<std::string_view> next();
  bool empty() const { return at_ == bytes_.size(); }

 private:
  std::size_t most_;
  std::string bytes_;
  std::size_t at_ = 0;
};

}  // namespace warren::driver::storage
