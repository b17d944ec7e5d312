// Frames that libvirt's own client and daemon exchanged, decoded by our structs and encoded again byte for
// byte (T31).

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "daemon/rpc/packet.h"
#include "daemon/rpc/procedure.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/objects.h"

namespace warren::daemon::rpc {
namespace {

struct RecordedFrame {
  unsigned int line = 0;
  bool from_client = false;
  std::vector<std::byte> bytes;
};

std::vector<RecordedFrame> read_trace(const std::string& path) {
  std::vector<RecordedFrame> frames;
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::string line;
  for (unsigned int number = 1; std::getline(file, line); ++number) {
    RecordedFrame& frame = frames.emplace_back(number, line[0] == '>', std::vector<std::byte>());
    for (std::size_t at = 2; at + 1 < line.size(); at += 2) {
      frame.bytes.push_back(static_cast<std::byte>(std::stoi(line.substr(at, 2), nullptr, 16)));
    }
  }
  return frames;
}

// The layout of what a frame carries, or nothing for raw data.
const Layout* layout_of(const Frame& frame, const Procedure& procedure, bool from_client) {
  static constexpr Layout kError{&recode<protocol::Error>};
  static constexpr Layout kNothing{&recode<Nothing>};
  if (frame.header.type == MessageType::stream_hole) return nullptr;
  if (frame.header.status == MessageStatus::error) return frame.payload.empty() ? &kNothing : &kError;
  if (frame.header.type == MessageType::stream) return nullptr;
  return from_client || frame.header.type == MessageType::message ? &procedure.arguments : &procedure.result;
}

Frame parse(const RecordedFrame& recorded, FrameReader& reader) {
  std::size_t offered = 0;
  while (offered < recorded.bytes.size()) {
    std::span<std::byte> space = reader.space();
    std::size_t part = std::min(space.size(), recorded.bytes.size() - offered);
    std::copy_n(recorded.bytes.begin() + static_cast<std::ptrdiff_t>(offered), part, space.begin());
    reader.received(part);
    offered += part;
  }
  Frame frame;
  EXPECT_EQ(reader.next(frame), FrameReader::Next::frame) << "line " << recorded.line;
  return frame;
}

TEST(GoldenTrace, EveryRecordedFrameSurvivesOurStructsByteForByte) {
  std::set<std::pair<std::uint32_t, std::uint32_t>> procedures;
  std::set<std::uint32_t> results;
  std::size_t errors = 0;
  std::size_t events = 0;
  for (const RecordedFrame& recorded : read_trace(WARREN_GOLDEN_TRACE)) {
    FrameReader reader;
    Frame frame = parse(recorded, reader);
    if (frame.header.program == kKeepaliveProgram) {
      EXPECT_TRUE(frame.payload.empty());
      continue;
    }
    const Program* program = find_program(frame.header.program);
    ASSERT_NE(program, nullptr) << "line " << recorded.line;
    const Procedure* procedure = program->find(frame.header.procedure);
    ASSERT_NE(procedure, nullptr) << "line " << recorded.line;
    const Layout* layout = layout_of(frame, *procedure, recorded.from_client);
    if (layout == nullptr) continue;
    std::vector<std::byte> again;
    std::size_t consumed = 0;
    ASSERT_TRUE(layout->recode(frame.payload, again, consumed))
        << procedure->name << ", line " << recorded.line;
    EXPECT_EQ(consumed, frame.payload.size()) << procedure->name << ", line " << recorded.line;
    EXPECT_TRUE(std::ranges::equal(again, frame.payload)) << procedure->name << ", line " << recorded.line;
    procedures.emplace(frame.header.program, frame.header.procedure);
    if (frame.header.status == MessageStatus::error) ++errors;
    if (frame.header.type == MessageType::message) ++events;
    if (frame.header.type == MessageType::reply && frame.header.status == MessageStatus::ok) {
      results.insert(frame.header.procedure);
    }
  }
  // What the recording is known to hold: a trace cut short would prove nothing.
  EXPECT_GE(procedures.size(), 310U);
  EXPECT_GE(results.size(), 190U);
  EXPECT_GE(errors, 100U);
  EXPECT_GE(events, 8U);
  RecordProperty("procedures", static_cast<int>(procedures.size()));
  RecordProperty("results", static_cast<int>(results.size()));
}

}  // namespace
}  // namespace warren::daemon::rpc
