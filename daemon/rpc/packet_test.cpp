#include "daemon/rpc/packet.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc {
namespace {

std::vector<std::byte> frame_of(MessageType type, std::string_view payload, std::uint32_t descriptors = 0) {
  std::vector<std::byte> out;
  begin_frame(out, {.program = kRemoteProgram, .version = 1, .procedure = 5, .type = type, .serial = 9},
              descriptors);
  for (char c : payload) out.push_back(static_cast<std::byte>(c));
  EXPECT_TRUE(finish_frame(out));
  return out;
}

void feed(FrameReader& reader, std::span<const std::byte> bytes,
          std::vector<FileDescriptor> descriptors = {}) {
  while (!bytes.empty()) {
    std::span<std::byte> space = reader.space();
    std::size_t part = std::min(space.size(), bytes.size());
    std::copy_n(bytes.begin(), part, space.begin());
    bytes = bytes.subspan(part);
    reader.received(part, bytes.empty() ? std::exchange(descriptors, {}) : std::vector<FileDescriptor>{});
  }
}

std::vector<FileDescriptor> some_descriptors(std::size_t number) {
  std::vector<FileDescriptor> made;
  made.reserve(number);
  for (std::size_t i = 0; i < number; ++i) made.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return made;
}

std::vector<std::byte> with_length(std::uint32_t length) {
  std::vector<std::byte> bytes;
  Encoder words(bytes);
  words.word(length);
  bytes.resize(64);
  return bytes;
}

TEST(FrameReader, CutsFramesWhereverTheBytesAreSplit) {
  std::vector<std::byte> stream = frame_of(MessageType::call, "abcd");
  std::vector<std::byte> second = frame_of(MessageType::call, "");
  stream.insert(stream.end(), second.begin(), second.end());
  for (std::size_t split = 0; split <= stream.size(); ++split) {
    FrameReader reader;
    std::vector<std::string> payloads;
    for (std::span<const std::byte> part :
         {std::span(stream).first(split), std::span(stream).subspan(split)}) {
      feed(reader, part);
      Frame frame;
      while (reader.next(frame) == FrameReader::Next::frame) {
        EXPECT_EQ(frame.header.serial, 9U);
        payloads.emplace_back(reinterpret_cast<const char*>(frame.payload.data()),
                              frame.payload.size());  // as text
      }
    }
    EXPECT_EQ(payloads, (std::vector<std::string>{"abcd", ""})) << split;
  }
}

TEST(FrameReader, LengthsOutOfBoundsAreViolations) {  // T16: truncated and oversized
  for (std::uint32_t length : {0U, 4U, 27U, 33554437U, 0x7fffffffU, 0xffffffffU}) {
    FrameReader reader;
    feed(reader, with_length(length));
    Frame frame;
    EXPECT_EQ(reader.next(frame), FrameReader::Next::violation) << length;
  }
}

TEST(FrameReader, APromisedLengthTakesNoMemory) {  // T8
  FrameReader reader;
  feed(reader, with_length(33554436));
  Frame frame;
  EXPECT_EQ(reader.next(frame), FrameReader::Next::incomplete);
  EXPECT_LE(reader.space().size(), 64U * 1024);
}

TEST(FrameReader, ALongFrameArrivesInParts) {
  std::vector<std::byte> big = frame_of(MessageType::call, std::string(5 << 20, 'x'));
  FrameReader reader;
  feed(reader, big);
  Frame frame;
  ASSERT_EQ(reader.next(frame), FrameReader::Next::frame);
  EXPECT_EQ(frame.payload.size(), 5U << 20);
  EXPECT_EQ(reader.next(frame), FrameReader::Next::incomplete);
}

TEST(FrameReader, DescriptorsBelongToTheFrameBeforeThem) {
  FrameReader reader;
  feed(reader, frame_of(MessageType::call_with_fds, "abcd", 2));
  Frame frame;
  EXPECT_EQ(reader.next(frame), FrameReader::Next::incomplete);
  const std::byte marker[1] = {};
  feed(reader, marker, some_descriptors(1));
  EXPECT_EQ(reader.next(frame), FrameReader::Next::incomplete);
  feed(reader, marker, some_descriptors(1));
  ASSERT_EQ(reader.next(frame), FrameReader::Next::frame);
  EXPECT_EQ(frame.descriptors.size(), 2U);
  EXPECT_EQ(frame.payload.size(), 4U);
  feed(reader, frame_of(MessageType::call, ""));
  ASSERT_EQ(reader.next(frame), FrameReader::Next::frame);
  EXPECT_TRUE(frame.descriptors.empty());
}

TEST(FrameReader, LiesAboutDescriptorsAreViolations) {  // T16: descriptor-count lies
  const std::byte markers[2] = {};
  Frame frame;
  FrameReader fewer;
  feed(fewer, frame_of(MessageType::call_with_fds, "", 2));
  feed(fewer, markers, some_descriptors(1));
  EXPECT_EQ(fewer.next(frame), FrameReader::Next::violation);

  FrameReader unannounced;
  feed(unannounced, frame_of(MessageType::call, ""), some_descriptors(1));
  EXPECT_EQ(unannounced.next(frame), FrameReader::Next::violation);

  FrameReader too_many;
  feed(too_many, frame_of(MessageType::call_with_fds, "", 33));
  EXPECT_EQ(too_many.next(frame), FrameReader::Next::violation);

  FrameReader no_marker;
  const std::byte other[1] = {std::byte{1}};
  feed(no_marker, frame_of(MessageType::call_with_fds, "", 1));
  feed(no_marker, other, some_descriptors(1));
  EXPECT_EQ(no_marker.next(frame), FrameReader::Next::violation);

  FrameReader flood;
  feed(flood, std::span(markers), some_descriptors(kMostDescriptors + 1));
  EXPECT_EQ(flood.next(frame), FrameReader::Next::violation);
}

}  // namespace
}  // namespace warren::daemon::rpc
