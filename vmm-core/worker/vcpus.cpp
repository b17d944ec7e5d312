// vCPUs that come and go while the machine runs. What the guest says comes from vCPU threads and is passed on
// to the control thread, where vCPUs are made and ended.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

void Worker::follow_vcpus(machine::MachineConfiguration& configuration) {
  configuration.vcpu_released = [this](std::uint32_t vcpu) {
    boost::asio::post(loop_, [this, vcpu] { vcpu_released(vcpu); });
  };
  configuration.vcpu_kept = [this](std::uint32_t vcpu) {
    boost::asio::post(loop_, [this, vcpu] {
      if (surroundings_.vcpu_kept) surroundings_.vcpu_kept({vcpu});
    });
  };
}

void Worker::plug_vcpus(const control::VcpuNumbers& numbers) {
  require(machine_ != nullptr && state_ != control::MachineState::prepared, "plug_vcpus");
  machine_->plug_vcpus(numbers.vcpus);
}

void Worker::unplug_vcpus(const control::VcpuNumbers& numbers) {
  require(machine_ != nullptr && state_ != control::MachineState::prepared, "unplug_vcpus");
  machine_->request_vcpu_removal(numbers.vcpus);
}

void Worker::vcpu_released(std::uint32_t vcpu) {
  if (!machine_ || !machine_->remove_vcpu(vcpu)) return;
  if (surroundings_.vcpu_unplugged) surroundings_.vcpu_unplugged({vcpu});
}

}  // namespace warren::vmm::worker
