// One stream of requests to a disk image, served asynchronously: what a virtio-blk queue has of the host.
//
// Used by one thread. Requests are owned by the caller and live until completed; nothing is allocated per
// request.
#pragma once

#include <cstdint>
#include <span>

#include <sys/uio.h>

namespace warren::vmm::block {

enum class Operation : std::uint8_t { read, write, flush, discard, write_zeroes };

class Request;

class Completion {
 public:
  // The request is done; `error` is 0 or an errno. Called from reap(), never from submit().
  virtual void completed(Request& request, int error) noexcept = 0;

 protected:
  ~Completion() = default;
};

class Request {
 public:
  Operation operation = Operation::read;
  std::uint64_t offset = 0;  // bytes; the caller has checked that offset + length lies in the image
  std::uint64_t length = 0;  // bytes; the sum of ranges for read and write
  std::span<iovec> ranges;   // consumed as the request proceeds
  bool may_unmap = false;    // write_zeroes: the space may be given back
  // Another fdatasync follows a write before it completes.
  bool durable = false;
  Completion* completion = nullptr;

 private:
  friend class RequestProgress;
  std::uint64_t done_ = 0;
};

// How far a request has come; for back ends.
class RequestProgress {
 public:
  explicit RequestProgress(Request& request) noexcept : request_(request) {}
  void begin() noexcept { request_.done_ = 0; }
  std::uint64_t left() const noexcept { return request_.length - request_.done_; }
  std::uint64_t offset() const noexcept { return request_.offset + request_.done_; }
  // Drops the first `bytes` from the ranges: a short transfer goes on behind them (class T12).
  void advance(std::uint64_t bytes) noexcept {
    request_.done_ += bytes;
    while (bytes != 0 && !request_.ranges.empty()) {
      iovec& first = request_.ranges.front();
      if (bytes < first.iov_len) {
        first.iov_base = static_cast<char*>(first.iov_base) + bytes;
        first.iov_len -= bytes;
        return;
      }
      bytes -= first.iov_len;
      request_.ranges = request_.ranges.subspan(1);
    }
  }
  // They were done elsewhere, and the ranges are those of the rest already.
  void add_done(std::uint64_t bytes) noexcept { request_.done_ += bytes; }
  // What is left becomes the request, to be submitted again after an error.
  void keep_rest() noexcept {
    request_.offset += request_.done_;
    request_.length -= request_.done_;
    begin();
  }

 private:
  Request& request_;
};

class BlockQueue {
 public:
  virtual ~BlockQueue() = default;
  // Takes a request. There is always room for as many as the queue was made for.
  virtual void submit(Request& request) noexcept = 0;
  // Hands what was submitted to the host.
  virtual void kick() noexcept = 0;
  // Completes what is done; returns how many that were.
  virtual unsigned reap() noexcept = 0;
  // Readable when reap() has something to do.
  virtual int event_descriptor() const noexcept = 0;
  // Waits until everything submitted has been completed.
  virtual void drain() noexcept = 0;
};

}  // namespace warren::vmm::block
