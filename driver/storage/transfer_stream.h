// The streams of uploads and downloads: between a client and the helper that has the volume open.
//
// The loop's thread. Implementation header (Asio).
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/local/stream_protocol.hpp>

#include "driver/contract/volume_stream.h"
#include "driver/storage/helper_call.h"
#include "driver/storage/transfer.h"

namespace warren::driver::storage {

class Transfer : public std::enable_shared_from_this<Transfer> {
 public:
  enum class Direction { upload, download };

  Transfer(boost::asio::io_context& loop, std::shared_ptr<HelperCall> call, vmm::FileDescriptor ours,
           Direction direction);

  // `over` is called once, from the loop, when the helper has ended, whatever becomes of the stream.
  void begin(HelperOrder order, std::move_only_function<void()> over);

  Stream::ReadResult read_some(std::span<std::byte> buffer);
  std::int64_t read_hole();
  std::size_t write_some(std::span<const std::byte> data);
  bool write_hole(std::int64_t length);
  void wait_readable(Stream::Ready ready);
  void wait_writable(Stream::Ready ready);
  bool settle();
  void finish();
  void abort() noexcept;

 private:
  void ended(std::expected<std::uint64_t, Error> outcome);
  // Throws what the helper failed with.
  void check() const;
  bool read_header();
  bool flush();
  void wake(Stream::Ready& ready);
  void fail(std::string detail);

  boost::asio::io_context& loop_;
  std::shared_ptr<HelperCall> call_;
  boost::asio::local::stream_protocol::socket socket_;
  Direction direction_;
  std::move_only_function<void()> over_;
  std::optional<std::expected<std::uint64_t, Error>> outcome_;  // of the helper
  Stream::Ready readable_, writable_;
  bool is_open_ = true;     // for the client
  bool is_broken_ = false;  // the helper takes no more

  std::array<std::byte, kChunkHeaderBytes> header_;  // of the chunk being read
  std::size_t header_bytes_ = 0;
  Chunk chunk_;  // what is left of it
  bool has_chunk_ = false;
  bool at_end_ = false;  // the end chunk has been read, or written

  std::vector<std::byte> outgoing_;  // written by the client, not yet taken by the socket
  std::size_t outgoing_at_ = 0;
};

// With or without holes.
std::unique_ptr<Stream> make_transfer_stream(std::shared_ptr<Transfer> transfer, bool sparse);

void set_blocking(int descriptor) noexcept;

}  // namespace warren::driver::storage
