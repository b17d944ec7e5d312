// warren-storage-helper: one piece of the storage driver's work, in a process that can be killed.
//
// Descriptor 3 is the control socket (backend_message.h), 4 the data socket of an upload or a download.
// Run by virtwarrend alone.

#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/storage/backend/backend.h"
#include "driver/storage/backend/data_transfer.h"
#include "driver/storage/backend/wiping.h"

namespace warren::driver::storage::backend {
namespace {

constexpr int kControl = 3;
constexpr int kData = 4;

// Ends this process and its tools when the daemon has closed its end: nobody is left to hear of the result.
[[noreturn]] void end_with_group() {
  ::kill(0, SIGKILL);
  ::_exit(1);
}

class SocketReporter final : public Reporter {
 public:
  void send(const Reply& reply) override {
    const std::string frame = encode_message(reply);
    for (std::size_t at = 0; at < frame.size();) {
      const ssize_t put = ::send(kControl, frame.data() + at, frame.size() - at, MSG_NOSIGNAL);
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) end_with_group();
      at += static_cast<std::size_t>(put);
    }
  }
};

Request receive_request() {
  FrameReader reader(kMostRequestBytes);
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t got = ::recv(kControl, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw storage_error(VIR_ERR_INTERNAL_ERROR, "no request came");
    reader.append(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
    if (const auto frame = reader.next()) return decode_request(*frame);
  }
}

void watch_daemon() {
  std::thread([] {
    pollfd wait{kControl, POLLRDHUP, 0};
    while (::poll(&wait, 1, -1) < 0 && errno == EINTR) {
    }
    end_with_group();
  }).detach();
}

void transfer(Backend& backend, const Request& request) {
  const bool upload = request.work == Work::upload_volume;
  const vmm::FileDescriptor volume = backend.open_data(request.volume, upload ? O_RDWR : O_RDONLY);
  const TransferOrder order{.volume = volume.get(),
                            .socket = kData,
                            .offset = request.offset,
                            .length = request.length,
                            .sparse = request.flags != 0};
  upload ? receive_data(order) : send_data(order);
}

// What the work is answered with, its records aside.
std::uint64_t do_work(Backend& backend, const Request& request, Reporter& reporter) {
  switch (request.work) {
    case Work::check_pool:
      return backend.is_there() ? 1 : 0;
    case Work::start_pool:
      backend.start();
      return 0;
    case Work::stop_pool:
      backend.stop();
      return 0;
    case Work::build_pool:
      backend.build();
      return 0;
    case Work::delete_pool:
      backend.remove();
      return 0;
    case Work::refresh_pool:
      backend.refresh(reporter);
      return 0;
    case Work::find_sources:
      for (const PoolSource& source : backend.find_sources())
        reporter.send({.kind = Reply::Kind::source, .source = source});
      return 0;
    case Work::create_volume:
      backend.create(request.volume, reporter);
      return 0;
    case Work::clone_volume:
      if (!request.original || !request.original_pool)
        throw storage_error(VIR_ERR_INTERNAL_ERROR, "a clone of nothing");
      backend.clone(request.volume, reporter);
      return 0;
    case Work::delete_volume:
      backend.remove_volume(request.volume);
      return 0;
    case Work::refresh_volume:
      reporter.volume(backend.inspect(request.volume));
      return 0;
    case Work::resize_volume:
      backend.resize(request.volume, request.capacity);
      return 0;
    case Work::wipe_volume: {
      const vmm::FileDescriptor volume = backend.open_data(request.volume, O_RDWR);
      wipe_data(volume.get(), request.volume.target.path, request.algorithm, reporter);
      return 0;
    }
    case Work::upload_volume:
    case Work::download_volume:
      transfer(backend, request);
      return 0;
  }
  throw storage_error(VIR_ERR_INTERNAL_ERROR, "unknown work");
}

int run() {
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(022);
  SocketReporter reporter;
  Reply last;
  try {
    const Request request = receive_request();
    watch_daemon();
    last.number = do_work(*make_backend(request), request, reporter);
  } catch (const Error& error) {
    last = {.kind = Reply::Kind::failed, .code = error.code(), .text = error.detail()};
  } catch (const std::exception& error) {
    last = {.kind = Reply::Kind::failed, .code = VIR_ERR_INTERNAL_ERROR, .text = error.what()};
  }
  reporter.send(last);
  return 0;
}

}  // namespace
}  // namespace warren::driver::storage::backend

int main() {
  if (::fcntl(3, F_GETFD) < 0) {
    std::fputs("warren-storage-helper is run by virtwarrend, for one piece of work each time\n", stderr);
    return 2;
  }
  // Tools do not inherit the sockets.
  ::fcntl(3, F_SETFD, FD_CLOEXEC);
  ::fcntl(4, F_SETFD, FD_CLOEXEC);
  // The detached thread is not waited for: it ends with the process.
  ::_exit(warren::driver::storage::backend::run());
}
