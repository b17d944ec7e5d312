#include "daemon/rpc/stream.h"

#include <algorithm>
#include <deque>

#include <fmt/format.h>

#include "daemon/rpc/session.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc {
namespace {

driver::Error stream_error(std::string detail) {
  return {VIR_ERR_RPC, std::move(detail), VIR_FROM_STREAMS};
}

}  // namespace

struct StreamTable::Stream {
  // What the client has sent and the other end has not taken: data, or a hole.
  struct Item {
    std::vector<std::byte> data;
    std::size_t taken = 0;
    std::int64_t hole = 0;
  };

  Header call;
  std::unique_ptr<driver::Stream> body;
  driver::SparseStream* sparse = nullptr;      // the body, if it is one
  driver::SettlingStream* settling = nullptr;  // likewise
  std::deque<Item> queue;
  std::size_t queued = 0;    // bytes in the queue
  bool finishing = false;    // the client has sent its last packet
  bool end_of_data = false;  // the client has been told there is no more
  bool waiting_readable = false;
  bool waiting_writable = false;
  bool open = true;
};

StreamTable::StreamTable(Session& session) : session_(session) {}
StreamTable::~StreamTable() = default;

bool StreamTable::can_open(std::uint32_t procedure, std::uint32_t serial) const {
  return streams_.size() < kMost && !streams_.contains({procedure, serial});
}

void StreamTable::open(const Header& call, std::unique_ptr<driver::Stream> body) {
  auto stream = std::make_shared<Stream>();
  stream->call = call;
  stream->sparse = dynamic_cast<driver::SparseStream*>(body.get());
  stream->settling = dynamic_cast<driver::SettlingStream*>(body.get());
  stream->body = std::move(body);
  streams_[{call.procedure, call.serial}] = stream;
  pump_to_client(stream);
}

template <class Step>
void StreamTable::guard(const std::shared_ptr<Stream>& stream, Step step) {
  try {
    step();
  } catch (const driver::Error& error) {
    if (!stream->open) return;
    Header header = stream->call;
    close(*stream);
    session_.send_stream_error(header, error);
  }
}

void StreamTable::receive(const Header& header, std::span<const std::byte> payload) {
  auto found = streams_.find({header.procedure, header.serial});
  if (found == streams_.end() || found->second->call.program != header.program) return;
  std::shared_ptr<Stream> stream = found->second;
  guard(stream, [&] { take_packet(*stream, header, payload); });
  if (stream->open) pump_from_client(stream);
}

void StreamTable::take_packet(Stream& stream, const Header& header, std::span<const std::byte> payload) {
  if (header.status == MessageStatus::error) {
    stream.body->abort();
    send(stream, MessageType::stream, MessageStatus::ok, {});
    close(stream);
    return;
  }
  if (stream.finishing) throw stream_error("data after the end of the stream");
  if (header.type == MessageType::stream && header.status == MessageStatus::ok) {
    stream.finishing = true;
  } else if (header.status != MessageStatus::more) {
    throw stream_error(fmt::format("unexpected stream status {}", static_cast<unsigned>(header.status)));
  } else if (header.type == MessageType::stream_hole) {
    Decoder words(payload);
    auto length = static_cast<std::int64_t>(words.hyper());
    std::uint32_t flags = words.word();
    if (!words.ok() || length < 0) throw stream_error("Unable to decode message payload");
    if (flags != 0) throw stream_error(fmt::format("unsupported stream hole flags {:#x}", flags));
    if (stream.sparse == nullptr) throw stream_error("hole in a stream that was not opened as sparse");
    if (length > 0) stream.queue.push_back({.hole = length});
  } else if (!payload.empty()) {
    stream.queue.push_back({.data = {payload.begin(), payload.end()}});
    stream.queued += payload.size();
  }
  // Holes take no bytes, so that their number is bounded too.
  if (stream.queue.size() > kStreamQueue / 16) throw stream_error("too many packets without progress");
}

// Gives the queue to the other end as far as it goes. True when all of it has been taken.
bool StreamTable::write_items(Stream& stream) {
  while (!stream.queue.empty()) {
    Stream::Item& item = stream.queue.front();
    if (item.hole > 0) {
      if (!stream.sparse->write_hole(item.hole)) return false;
    } else {
      std::size_t taken = stream.body->write_some(std::span(item.data).subspan(item.taken));
      item.taken += taken;
      stream.queued -= taken;
      if (item.taken < item.data.size()) {
        if (taken == 0) return false;
        continue;
      }
    }
    stream.queue.pop_front();
  }
  return true;
}

void StreamTable::pump_from_client(const std::shared_ptr<Stream>& stream) {
  if (stream->waiting_writable) return;
  guard(stream, [&] {
    bool was_full = full();
    // What is to be settled is settled last, and waited for as room is.
    if (!write_items(*stream) ||
        (stream->finishing && stream->settling != nullptr && !stream->settling->settle())) {
      stream->waiting_writable = true;
      // The table outlives its streams, and a closed stream drops its waits.
      stream->body->wait_writable([this, weak = std::weak_ptr(stream)] {
        std::shared_ptr<Stream> waiting = weak.lock();
        if (!waiting || !waiting->open) return;
        waiting->waiting_writable = false;
        pump_from_client(waiting);
      });
    } else if (stream->finishing) {
      stream->body->finish();
      send(*stream, MessageType::stream, MessageStatus::ok, {});
      close(*stream);
    }
    if (was_full && !full()) session_.resume();
  });
}

void StreamTable::pump_to_client(const std::shared_ptr<Stream>& stream) {
  guard(stream, [&] {
    while (stream->open && !stream->end_of_data && !stream->waiting_readable) {
      if (session_.backlog() >= kStreamBacklog) return;  // on_room() goes on
      if (stream->sparse != nullptr) {
        if (std::int64_t hole = stream->sparse->read_hole(); hole > 0) {
          session_.send_stream_hole(stream->call, hole);
          continue;
        }
      }
      buffer_.resize(kStreamPayload);
      driver::Stream::ReadResult read = stream->body->read_some(buffer_);
      if (read.bytes > 0) {
        send(*stream, MessageType::stream, MessageStatus::more, std::span(buffer_).first(read.bytes));
      } else if (read.end) {
        stream->end_of_data = true;
        send(*stream, MessageType::stream, MessageStatus::more, {});
      } else {
        stream->waiting_readable = true;
        stream->body->wait_readable([this, weak = std::weak_ptr(stream)] {
          std::shared_ptr<Stream> waiting = weak.lock();
          if (!waiting || !waiting->open) return;
          waiting->waiting_readable = false;
          pump_to_client(waiting);
        });
      }
    }
  });
}

bool StreamTable::full() const {
  return std::ranges::any_of(streams_, [](const auto& entry) { return entry.second->queued > kStreamQueue; });
}

void StreamTable::on_room() {
  // A stream that fails leaves the table: walk over a copy.
  auto streams = streams_;
  for (auto& [key, stream] : streams) {
    if (stream->open) pump_to_client(stream);
  }
}

void StreamTable::close_all() {
  auto streams = std::exchange(streams_, {});
  for (auto& [key, stream] : streams) {
    stream->open = false;
    stream->body.reset();
  }
}

void StreamTable::send(const Stream& stream, MessageType type, MessageStatus status,
                       std::span<const std::byte> payload) {
  Header header = stream.call;
  header.type = type;
  header.status = status;
  session_.send_raw(header, payload);
}

void StreamTable::close(Stream& stream) {
  stream.open = false;
  bool was_full = full();
  Key key{stream.call.procedure, stream.call.serial};
  // The body may be further up the stack (a failing read): its end waits for the caller's reference.
  streams_.erase(key);
  if (was_full && !full()) session_.resume();
}

}  // namespace warren::daemon::rpc
