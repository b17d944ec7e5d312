// What the control protocol asks of the balloon.
#include "vmm-core/os/error.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

void Worker::set_balloon(const control::SetBalloon& command) {
  require(machine_ != nullptr, "set_balloon");
  if (balloon_ == nullptr) throw Error(std::errc::no_such_device, "the machine has no balloon");
  if (command.bytes > machine_->memory().size())
    throw Error(std::errc::invalid_argument, "set_balloon: more than the machine's memory");
  balloon_->set_target(command.bytes);
}

void Worker::set_balloon_statistics_period(const control::SetBalloonStatisticsPeriod& command) {
  require(machine_ != nullptr, "set_balloon_statistics_period");
  if (balloon_ == nullptr) throw Error(std::errc::no_such_device, "the machine has no balloon");
  balloon_->set_statistics_period(command.seconds);
}

}  // namespace warren::vmm::worker
