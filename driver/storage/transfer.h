// What goes over the data socket of an upload or a download: chunks of data, holes, and an end.
//
// A chunk is a header of eight bytes and, for data, so many bytes: the kind in the topmost byte, the length
// below it, little endian. The writer of a download ends with `end`; so does that of an upload, and then
// waits for the helper's last word on the control socket.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace warren::driver::storage {

enum class ChunkKind : std::uint8_t { data = 1, hole = 2, end = 3 };

struct Chunk {
  ChunkKind kind = ChunkKind::end;
  std::uint64_t length = 0;
};

inline constexpr std::size_t kChunkHeaderBytes = 8;
inline constexpr std::uint64_t kMostChunkBytes = std::uint64_t{1} << 20;  // of data
inline constexpr std::uint64_t kMostHoleBytes = (std::uint64_t{1} << 56) - 1;

inline std::array<std::byte, kChunkHeaderBytes> encode_chunk(Chunk chunk) noexcept {
  std::array<std::byte, kChunkHeaderBytes> bytes{};
  for (std::size_t i = 0; i < 7; ++i) bytes[i] = static_cast<std::byte>(chunk.length >> (8 * i) & 0xff);
  bytes[7] = static_cast<std::byte>(chunk.kind);
  return bytes;
}

// Nothing for what is no chunk.
inline std::optional<Chunk> decode_chunk(std::span<const std::byte, kChunkHeaderBytes> bytes) noexcept {
  Chunk chunk{.kind = static_cast<ChunkKind>(bytes[7])};
  for (std::size_t i = 0; i < 7; ++i) chunk.length |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  if (chunk.kind != ChunkKind::data && chunk.kind != ChunkKind::hole && chunk.kind != ChunkKind::end)
    return std::nullopt;
  if (chunk.kind == ChunkKind::data && chunk.length > kMostChunkBytes) return std::nullopt;
  if (chunk.kind == ChunkKind::end && chunk.length != 0) return std::nullopt;
  return chunk;
}

}  // namespace warren::driver::storage
