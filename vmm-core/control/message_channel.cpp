#include "vmm-core/control/message_channel.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "vmm-core/control/protocol.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {
namespace {

// The kernel passes at most SCM_MAX_FD (253) descriptors with one message.
constexpr std::size_t kAncillarySize = CMSG_SPACE(253 * sizeof(int));

struct AncillaryBuffer {
  alignas(cmsghdr) std::array<char, kAncillarySize> bytes;
};

void attach(msghdr& header, AncillaryBuffer& buffer, const std::vector<FileDescriptor>& descriptors) {
  std::vector<int> numbers;
  numbers.reserve(descriptors.size());
  for (const auto& descriptor : descriptors) numbers.push_back(descriptor.get());
  const std::size_t size = numbers.size() * sizeof(int);
  header.msg_control = buffer.bytes.data();
  header.msg_controllen = CMSG_SPACE(size);
  cmsghdr* part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(part), numbers.data(), size);
}

bool would_block() {
  return errno == EAGAIN || errno == EWOULDBLOCK;
}

}  // namespace

void MessageChannel::send(std::string text, std::vector<FileDescriptor> descriptors) {
  if (descriptors.size() > kMaximumDescriptorsPerMessage) {
    throw Error(std::errc::argument_list_too_long, "control message with too many descriptors");
  }
  text.push_back('\n');
  if (text.size() > kMaximumMessageBytes) throw Error(std::errc::message_size, "control message");
  if (unsent_bytes_ + text.size() > kMaximumQueuedBytes) {
    throw Error(std::errc::no_buffer_space, "control peer does not read");
  }
  unsent_bytes_ += text.size();
  unsent_.push_back({std::move(text), 0, std::move(descriptors)});
  flush();
}

void MessageChannel::flush() {
  while (!unsent_.empty()) {
    Outgoing& message = unsent_.front();
    if (!send_some(message)) return;
    if (message.sent < message.text.size()) continue;
    unsent_bytes_ -= message.text.size();
    unsent_.pop_front();
  }
}

bool MessageChannel::send_some(Outgoing& message) {
  iovec data{message.text.data() + message.sent, message.text.size() - message.sent};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  AncillaryBuffer buffer;
  if (!message.descriptors.empty()) attach(header, buffer, message.descriptors);
  const ssize_t sent = ::sendmsg(socket_, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) {
    if (errno == EINTR) return true;
    if (would_block()) return false;
    throw_errno("send a control message");
  }
  message.sent += static_cast<std::size_t>(sent);
  message.descriptors.clear();  // they went with the first byte
  return true;
}

std::optional<std::vector<std::string>> MessageChannel::receive() {
  std::vector<std::string> lines;
  std::array<char, 65536> chunk;
  while (true) {
    iovec data{chunk.data(), chunk.size()};
    AncillaryBuffer buffer;
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = buffer.bytes.data();
    header.msg_controllen = buffer.bytes.size();
    const ssize_t got = ::recvmsg(socket_, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (would_block()) return lines;
      throw_errno("receive a control message");
    }
    keep_descriptors(header);
    if (got == 0) {
      if (lines.empty()) return std::nullopt;
      return lines;
    }
    std::size_t begin = 0;
    const std::string_view bytes(chunk.data(), static_cast<std::size_t>(got));
    for (std::size_t end = bytes.find('\n'); end != bytes.npos; end = bytes.find('\n', begin)) {
      lines.push_back(partial_ + std::string(bytes.substr(begin, end - begin)));
      partial_.clear();
      begin = end + 1;
    }
    partial_ += bytes.substr(begin);
    if (partial_.size() > kMaximumMessageBytes)
      throw Error(std::errc::message_size, "control peer's message");
  }
}

void MessageChannel::keep_descriptors(msghdr& header) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      received_.emplace_back(number);
    }
  }
  if (header.msg_flags & MSG_CTRUNC) throw Error(std::errc::message_size, "descriptors of a control message");
  if (received_.size() > kMaximumWaitingDescriptors) {
    throw Error(std::errc::message_size, "control peer sends descriptors that no message names");
  }
}

std::vector<FileDescriptor> MessageChannel::take_descriptors(std::size_t count) {
  if (count > received_.size()) {
    throw Error(std::errc::invalid_argument, "control message names more descriptors than came with it");
  }
  std::vector<FileDescriptor> taken;
  for (; count > 0; --count) {
    taken.push_back(std::move(received_.front()));
    received_.pop_front();
  }
  return taken;
}

}  // namespace warren::vmm::control
