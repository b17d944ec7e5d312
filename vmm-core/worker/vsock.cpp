// The way of a guest's socket to the host: the question goes to the daemon, its answer to the device.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

// On the device's thread, which lets a few questions be open at a time (T8).
void Worker::ask_for_connection(const std::string& id, std::uint32_t request, std::uint32_t port) noexcept {
  try {
    boost::asio::post(loop_, [this, id, request, port] {
      const bool is_asked =
          surroundings_.vsock_connection_wanted && surroundings_.vsock_connection_wanted({id, request, port});
      if (!is_asked) answer_vsock({id, request}, {});
    });
  } catch (const std::exception&) {
    // No memory for one small message: the device gives the question up by itself.
  }
}

void Worker::answer_vsock(const control::AnswerVsock& answer, FileDescriptor socket) {
  const auto device = vsocks_.find(answer.id);
  // It may have been unplugged since it asked.
  if (device != vsocks_.end()) device->second->answer(answer.request, std::move(socket));
}

}  // namespace warren::vmm::worker
