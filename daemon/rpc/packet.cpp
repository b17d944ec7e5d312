#include "daemon/rpc/packet.h"

#include <algorithm>
#include <cstring>

#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc {
namespace {

constexpr std::size_t kInitialBuffer = std::size_t{16} << 10;
// A buffer that one long frame made larger than this is given back when it is empty.
constexpr std::size_t kKeptBuffer = std::size_t{256} << 10;

bool carries_descriptors(MessageType type) {
  return type == MessageType::call_with_fds || type == MessageType::reply_with_fds;
}

}  // namespace

std::span<std::byte> FrameReader::space() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (buffer_.size() > kKeptBuffer) buffer_ = {};
  }
  if (buffer_.empty()) buffer_.resize(kInitialBuffer);
  if (end_ == buffer_.size() && begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);  // bounded: next() consumes or refuses
  return std::span(buffer_).subspan(end_);
}

void FrameReader::received(std::size_t size, std::vector<FileDescriptor> descriptors) {
  end_ += size;
  for (FileDescriptor& descriptor : descriptors) descriptors_.push_back(std::move(descriptor));
}

FrameReader::Next FrameReader::next(Frame& frame) {
  if (descriptors_.size() > kMostDescriptors) return Next::violation;
  std::span<std::byte> available = std::span(buffer_).subspan(begin_, end_ - begin_);
  if (available.size() < kLengthSize) return Next::incomplete;
  Decoder words(available);
  std::size_t length = words.word();
  if (length < kSmallestFrame || length > kLargestFrame) return Next::violation;
  if (available.size() < length) return Next::incomplete;

  frame.header.program = words.word();
  frame.header.version = words.word();
  frame.header.procedure = words.word();
  frame.header.type = static_cast<MessageType>(words.word());
  frame.header.serial = words.word();
  frame.header.status = static_cast<MessageStatus>(words.word());
  frame.payload = available.subspan(kSmallestFrame, length - kSmallestFrame);
  frame.descriptors.clear();
  if (carries_descriptors(frame.header.type)) {
    std::size_t number = words.word();
    if (frame.payload.size() < kLengthSize || number > kMostDescriptors) return Next::violation;
    frame.payload = frame.payload.subspan(kLengthSize);
    return take_descriptors(begin_ + length, number, frame);
  }
  if (!descriptors_.empty() && available.size() == length) return Next::violation;  // nobody announced them
  begin_ += length;
  return Next::frame;
}

FrameReader::Next FrameReader::take_descriptors(std::size_t end, std::size_t number, Frame& frame) {
  if (end_ - end < number) return Next::incomplete;
  if (descriptors_.size() < number) return Next::violation;
  for (std::size_t i = 0; i < number; ++i) {
    if (buffer_[end + i] != std::byte{0}) return Next::violation;
    frame.descriptors.push_back(std::move(descriptors_.front()));
    descriptors_.pop_front();
  }
  begin_ = end + number;
  return Next::frame;
}

void begin_frame(std::vector<std::byte>& out, const Header& header, std::uint32_t descriptors) {
  out.clear();
  Encoder words(out);
  words.word(0);
  words.word(header.program);
  words.word(header.version);
  words.word(header.procedure);
  words.word(static_cast<std::uint32_t>(header.type));
  words.word(header.serial);
  words.word(static_cast<std::uint32_t>(header.status));
  if (carries_descriptors(header.type)) words.word(descriptors);
}

bool finish_frame(std::vector<std::byte>& out) {
  if (out.size() > kLargestFrame) return false;
  std::uint32_t wire = __builtin_bswap32(static_cast<std::uint32_t>(out.size()));
  std::memcpy(out.data(), &wire, sizeof wire);
  return true;
}

}  // namespace warren::daemon::rpc
