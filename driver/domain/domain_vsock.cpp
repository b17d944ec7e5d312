// A domain's socket device: the guest's connections to the host, made for its worker, which can reach
// nothing.
#include <fmt/format.h>

#include "driver/domain/domain.h"

namespace warren::driver::domain {

// Not a job: it changes nothing of the domain, and a guest must not fill its queue. The worker lets few
// questions be open at a time.
void Domain::vsock_connection_wanted(const vmm::control::VsockConnectionWanted& wanted) {
  if (!worker_ || !worker_->is_connected()) return;
  vmm::FileDescriptor socket =
      connect_vsock(vsock_directory(environment_->settings.runtime_directory, uuid_), wanted.port,
                    wanted.seqpacket.value_or(false) ? SOCK_SEQPACKET : SOCK_STREAM);
  worker_->client().answer_vsock({wanted.id, wanted.request}, std::move(socket), [](auto) {});
}

void Domain::release_cid() noexcept {
  environment_->cids.release(uuid_);
  remove_vsock(vsock_directory(environment_->settings.runtime_directory, uuid_));
}

}  // namespace warren::driver::domain
