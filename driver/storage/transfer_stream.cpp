#include "driver/storage/transfer_stream.h"

#include <algorithm>
#include <cerrno>

#include <boost/asio/post.hpp>
#include <fcntl.h>
#include <sys/socket.h>

namespace warren::driver::storage {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMostPiece = 256u << 10;

template <typename Base>
class TransferStream : public Base, public SettlingStream {
 public:
  explicit TransferStream(std::shared_ptr<Transfer> transfer) : transfer_(std::move(transfer)) {}
  ~TransferStream() override { transfer_->abort(); }

  Stream::ReadResult read_some(std::span<std::byte> buffer) override { return transfer_->read_some(buffer); }
  std::size_t write_some(std::span<const std::byte> data) override { return transfer_->write_some(data); }
  void wait_readable(Stream::Ready ready) override { transfer_->wait_readable(std::move(ready)); }
  void wait_writable(Stream::Ready ready) override { transfer_->wait_writable(std::move(ready)); }
  void finish() override { transfer_->finish(); }
  void abort() noexcept override { transfer_->abort(); }
  bool settle() override { return transfer_->settle(); }

 protected:
  std::shared_ptr<Transfer> transfer_;
};

class SparseTransferStream final : public TransferStream<SparseStream> {
 public:
  using TransferStream::TransferStream;

  std::int64_t read_hole() override { return transfer_->read_hole(); }
  bool write_hole(std::int64_t length) override { return transfer_->write_hole(length); }
};

}  // namespace

void set_blocking(int descriptor) noexcept {
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) & ~O_NONBLOCK);
}

Transfer::Transfer(asio::io_context& loop, std::shared_ptr<HelperCall> call, vmm::FileDescriptor ours,
                   Direction direction)
    : loop_(loop), call_(std::move(call)), socket_(loop), direction_(direction) {
  socket_.assign(asio::local::stream_protocol(), ours.release());
}

void Transfer::begin(HelperOrder order, std::move_only_function<void()> over) {
  over_ = std::move(over);
  call_->begin(std::move(order), [self = shared_from_this()](std::expected<std::uint64_t, Error> outcome) {
    self->ended(std::move(outcome));
  });
}

void Transfer::ended(std::expected<std::uint64_t, Error> outcome) {
  outcome_ = std::move(outcome);
  if (auto over = std::exchange(over_, nullptr)) over();
  wake(writable_);
  wake(readable_);
}

void Transfer::wake(Stream::Ready& ready) {
  if (!ready) return;
  asio::post(loop_, [self = shared_from_this(), ready = std::exchange(ready, nullptr)]() mutable {
    if (self->is_open_) ready();
  });
}

void Transfer::check() const {
  if (outcome_ && !*outcome_) throw Error(outcome_->error());
}

void Transfer::fail(std::string detail) {
  throw Error(VIR_ERR_INTERNAL_ERROR, std::move(detail), VIR_FROM_STORAGE);
}

// Whether a chunk's header is there.
bool Transfer::read_header() {
  while (!has_chunk_) {
    const ssize_t got = ::recv(socket_.native_handle(), header_.data() + header_bytes_,
                               header_.size() - header_bytes_, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      const bool is_over = got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
      // Its last word says why, if it has not come yet.
      if (is_over && outcome_) {
        check();
        fail("the download ended before its data");
      }
      return false;
    }
    header_bytes_ += static_cast<std::size_t>(got);
    if (header_bytes_ < header_.size()) continue;
    header_bytes_ = 0;
    const auto chunk = decode_chunk(header_);
    if (!chunk) fail("the storage helper sent malformed data");
    chunk_ = *chunk;
    has_chunk_ = chunk_.kind == ChunkKind::end || chunk_.length > 0;
  }
  return true;
}

Stream::ReadResult Transfer::read_some(std::span<std::byte> buffer) {
  if (direction_ == Direction::upload) {
    // Nothing comes the other way; but a failure is told as soon as it is known.
    check();
    return {};
  }
  if (at_end_) return {.end = true};
  if (!read_header()) {
    check();
    return {};
  }
  if (chunk_.kind == ChunkKind::end) {
    at_end_ = true;
    return {.end = true};
  }
  if (chunk_.kind == ChunkKind::hole) fail("a hole in a stream without holes");
  const std::size_t most = std::min<std::uint64_t>(buffer.size(), chunk_.length);
  const ssize_t got = ::recv(socket_.native_handle(), buffer.data(), most, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return {};
  if (got <= 0) {
    check();
    if (outcome_) fail("the download ended before its data");
    return {};
  }
  chunk_.length -= static_cast<std::uint64_t>(got);
  if (chunk_.length == 0) has_chunk_ = false;
  return {.bytes = static_cast<std::size_t>(got)};
}

std::int64_t Transfer::read_hole() {
  if (direction_ == Direction::upload || at_end_ || !read_header() || chunk_.kind != ChunkKind::hole)
    return 0;
  has_chunk_ = false;
  return static_cast<std::int64_t>(chunk_.length);
}

// Whether nothing of the client's is left here.
bool Transfer::flush() {
  check();
  while (outgoing_at_ < outgoing_.size()) {
    const ssize_t put = ::send(socket_.native_handle(), outgoing_.data() + outgoing_at_,
                               outgoing_.size() - outgoing_at_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      // Of a broken pipe the reason comes with the helper's last word.
      is_broken_ = errno != EAGAIN && errno != EWOULDBLOCK;
      return false;
    }
    outgoing_at_ += static_cast<std::size_t>(put);
  }
  outgoing_.clear();
  outgoing_at_ = 0;
  return true;
}

std::size_t Transfer::write_some(std::span<const std::byte> data) {
  if (direction_ == Direction::download) fail("data from the client in a download");
  if (!flush()) return 0;
  const std::size_t length = std::min(data.size(), kMostPiece);
  const auto header = encode_chunk({ChunkKind::data, length});
  outgoing_.assign(header.begin(), header.end());
  outgoing_.insert(outgoing_.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(length));
  flush();
  return length;
}

bool Transfer::write_hole(std::int64_t length) {
  if (direction_ == Direction::download) fail("a hole from the client in a download");
  if (static_cast<std::uint64_t>(length) > kMostHoleBytes) fail("a hole that is too long");
  if (!flush()) return false;
  const auto header = encode_chunk({ChunkKind::hole, static_cast<std::uint64_t>(length)});
  outgoing_.assign(header.begin(), header.end());
  flush();
  return true;
}

void Transfer::wait_readable(Stream::Ready ready) {
  readable_ = std::move(ready);
  if (direction_ == Direction::upload) return;  // only its end is of interest
  socket_.async_wait(asio::local::stream_protocol::socket::wait_read,
                     [self = shared_from_this()](boost::system::error_code error) {
                       if (error) return;
                       // At the end of the data the helper's last word is waited for.
                       char byte = 0;
                       const ssize_t there =
                           ::recv(self->socket_.native_handle(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
                       if (there != 0 || self->outcome_) self->wake(self->readable_);
                     });
}

void Transfer::wait_writable(Stream::Ready ready) {
  writable_ = std::move(ready);
  if (outcome_) return wake(writable_);
  // Once all has been sent only the helper's last word is waited for.
  if (outgoing_.empty() || is_broken_) return;
  socket_.async_wait(asio::local::stream_protocol::socket::wait_write,
                     [self = shared_from_this()](boost::system::error_code error) {
                       if (!error && self->is_open_) self->wake(self->writable_);
                     });
}

bool Transfer::settle() {
  if (direction_ == Direction::download) return true;
  if (!flush()) return false;
  if (!at_end_) {
    at_end_ = true;
    const auto header = encode_chunk({ChunkKind::end, 0});
    outgoing_.assign(header.begin(), header.end());
    if (!flush()) return false;
  }
  return outcome_.has_value();
}

void Transfer::finish() {
  check();
  abort();
}

void Transfer::abort() noexcept {
  if (!is_open_) return;
  is_open_ = false;
  readable_ = nullptr;
  writable_ = nullptr;
  boost::system::error_code ignored;
  socket_.close(ignored);
  call_->abort(Error(VIR_ERR_OPERATION_ABORTED, "the transfer was given up", VIR_FROM_STORAGE));
}

std::unique_ptr<Stream> make_transfer_stream(std::shared_ptr<Transfer> transfer, bool sparse) {
  if (sparse) return std::make_unique<SparseTransferStream>(std::move(transfer));
  return std::make_unique<TransferStream<Stream>>(std::move(transfer));
}

}  // namespace warren::driver::storage
