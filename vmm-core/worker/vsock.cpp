// The way of a guest's socket to the host: the question goes to the daemon, its answer to the device.
#include "vmm-core/virtio/vhost/vsock.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/worker/on_pci.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

machine::PciDeviceConfiguration Worker::vsock_device(const control::VsockSpecification& vsock,
                                                     control::DescriptorSet& descriptors) {
  EventThread& thread = own_thread(vsock.id);
  if (vsock.vhost) {
    auto opened = std::make_shared<FileDescriptor>(take(descriptors, *vsock.vhost));
    return on_pci(vsock.id, vsock.address, [vsock, opened, &thread](GuestMemory& memory) {
      return std::make_unique<virtio::vhost::Vsock>(
          vsock.id, vsock.guest_cid, virtio::vhost::kernel_of(std::move(*opened)), memory, thread);
    });
  }
  auto options = std::make_shared<virtio::VsockOptions>();
  options->guest_cid = vsock.guest_cid;
  options->listener = take(descriptors, vsock.listener);
  if (vsock.seqpacket_listener) options->seqpacket_listener = take(descriptors, *vsock.seqpacket_listener);
  options->connect = [this, id = vsock.id](const virtio::VsockQuestion& question) {
    ask_for_connection(id, question);
  };
  return on_pci(vsock.id, vsock.address, [this, id = vsock.id, options, &thread] {
    auto device = std::make_unique<virtio::Vsock>(id, std::move(*options), thread);
    vsocks_[id] = device.get();
    return device;
  });
}

// On the device's thread, which lets a few questions be open at a time (T8).
void Worker::ask_for_connection(const std::string& id, const virtio::VsockQuestion& question) noexcept {
  try {
    boost::asio::post(loop_, [this, id, question] {
      control::VsockConnectionWanted wanted{.id = id, .request = question.request, .port = question.port};
      if (question.type == virtio::VsockType::seqpacket) wanted.seqpacket = true;
      const bool is_asked =
          surroundings_.vsock_connection_wanted && surroundings_.vsock_connection_wanted(wanted);
      if (!is_asked) answer_vsock({id, question.request}, {});
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
