// The framing of libvirt's RPC: length word, header, payload, and descriptors that follow a frame.
//
// Frame: u32 length (which counts itself), 24 bytes of header, payload; all big-endian. A frame that carries
// descriptors has a WITH_FDS type, begins its payload with their number and is followed by one NUL byte per
// descriptor, outside the length, each sent with exactly one SCM_RIGHTS descriptor. Pure memory; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "vmm-core/os/file_descriptor.h"

namespace warren::daemon::rpc {

using vmm::FileDescriptor;

enum class MessageType : std::uint32_t {
  call = 0,
  reply = 1,
  message = 2,
  stream = 3,
  call_with_fds = 4,
  reply_with_fds = 5,
  stream_hole = 6,
};

enum class MessageStatus : std::uint32_t { ok = 0, error = 1, more = 2 };

struct Header {
  std::uint32_t program = 0;
  std::uint32_t version = 0;
  std::uint32_t procedure = 0;
  MessageType type = MessageType::call;
  std::uint32_t serial = 0;
  MessageStatus status = MessageStatus::ok;
};

inline constexpr std::size_t kHeaderSize = 24;
inline constexpr std::size_t kLengthSize = 4;
inline constexpr std::size_t kSmallestFrame = kLengthSize + kHeaderSize;
// Longest frame, its length word included (libvirt 9.0.0: 32 MiB and the word).
inline constexpr std::size_t kLargestFrame = kLengthSize + 33554432;
inline constexpr std::size_t kMostDescriptors = 32;
// Longest payload of a stream packet that clients of every age accept.
inline constexpr std::size_t kStreamPayload = 262120;

inline constexpr std::uint32_t kRemoteProgram = 0x20008086;
inline constexpr std::uint32_t kQemuProgram = 0x20008087;
inline constexpr std::uint32_t kLxcProgram = 0x00068000;
inline constexpr std::uint32_t kAdminProgram = 0x06900690;
inline constexpr std::uint32_t kKeepaliveProgram = 0x6b656570;
inline constexpr std::uint32_t kProgramVersion = 1;
inline constexpr std::uint32_t kKeepalivePing = 1;
inline constexpr std::uint32_t kKeepalivePong = 2;

// One received message. The payload belongs to the reader and lives until its next space() or next().
struct Frame {
  Header header;
  std::span<std::byte> payload;  // without the number of descriptors
  std::vector<FileDescriptor> descriptors;
};

// Cuts frames out of received bytes. Memory grows with what has arrived, not with what a length word
// promises.
class FrameReader {
 public:
  enum class Next { frame, incomplete, violation };

  // Where to receive into; never empty.
  std::span<std::byte> space();
  // `size` bytes were received there, with these descriptors attached to the last of them.
  void received(std::size_t size, std::vector<FileDescriptor> descriptors = {});
  // The next frame. After `violation` (a length out of bounds, descriptors that were not announced or did not
  // come) the connection is beyond repair.
  Next next(Frame& frame);

 private:
  Next take_descriptors(std::size_t end, std::size_t number, Frame& frame);

  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;  // first byte not yet consumed
  std::size_t end_ = 0;    // end of the received bytes
  std::deque<FileDescriptor> descriptors_;
};

// Starts a frame in `out` (emptied first): a length to be filled in, the header, and the number of
// descriptors if the type carries any. finish_frame() fills in the length; false when the frame has grown too
// long to be sent.
void begin_frame(std::vector<std::byte>& out, const Header& header, std::uint32_t descriptors = 0);
bool finish_frame(std::vector<std::byte>& out);

}  // namespace warren::daemon::rpc
