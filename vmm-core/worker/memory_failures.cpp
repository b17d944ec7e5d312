// Memory of the host that has failed: the guest is told of its own, and of anything else that somebody needs
// nothing can be saved.
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "vmm-core/os/error.h"
#include "vmm-core/os/memory_error.h"
#include "vmm-core/worker/worker.h"

namespace warren::vmm::worker {

using control::MachineState;
using control::MemoryFailureAction;
using control::MemoryFailureRecipient;
using control::StateCause;

// Reads what the signal handler wrote.
struct Worker::MemoryErrorWatch {
  MemoryErrorWatch(boost::asio::io_context& loop, Worker& to)
      : worker(to), pipe(loop, to.surroundings_.memory_errors.duplicate().release()) {
    wait();
  }
  void wait() {
    pipe.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this](boost::system::error_code failed) {
                      if (failed) return;
                      while (const auto error = read_memory_error(worker.surroundings_.memory_errors))
                        worker.memory_failed(error->address, std::nullopt, error->action_required);
                      wait();
                    });
  }
  Worker& worker;
  boost::asio::posix::stream_descriptor pipe;
};

void Worker::follow_memory_errors() {
  memory_error_watch_ = std::make_shared<MemoryErrorWatch>(loop_, *this);
}

void Worker::tell_memory_failure(MemoryFailureRecipient recipient, MemoryFailureAction action,
                                 bool action_required, bool recursive) {
  if (surroundings_.memory_failed)
    surroundings_.memory_failed({recipient, action, action_required, recursive});
}

void Worker::memory_failed(std::uintptr_t address, std::optional<std::size_t> vcpu, bool action_required) {
  using Outcome = machine::Machine::MemoryFailure;
  Outcome outcome = Outcome::not_of_the_guest;
  const bool lives = state_ == MachineState::running || state_ == MachineState::paused;
  // A thread of ours that needs it cannot go on, whoever's it is.
  if (lives && (vcpu || !action_required)) {
    try {
      outcome = machine_->tell_memory_failure(address, vcpu);
    } catch (const Error& error) {
      tell_memory_failure(MemoryFailureRecipient::guest, MemoryFailureAction::fatal, action_required);
      return enter(MachineState::crashed, StateCause::host_error, error.what());
    }
  }
  switch (outcome) {
    case Outcome::told:
      return tell_memory_failure(MemoryFailureRecipient::guest, MemoryFailureAction::inject, action_required);
    case Outcome::not_taken:
    case Outcome::recursive:
      if (!action_required) {
        return tell_memory_failure(MemoryFailureRecipient::guest, MemoryFailureAction::ignore, false,
                                   outcome == Outcome::recursive);
      }
      tell_memory_failure(MemoryFailureRecipient::guest, MemoryFailureAction::reset, action_required,
                          outcome == Outcome::recursive);
      if (on_reset_ == control::GuestAction::stop) machine_->pause();
      return guest_was_reset();
    case Outcome::not_of_the_guest:
      break;
  }
  if (!action_required) {
    return tell_memory_failure(MemoryFailureRecipient::worker, MemoryFailureAction::ignore, false);
  }
  tell_memory_failure(MemoryFailureRecipient::worker, MemoryFailureAction::fatal, true);
  enter(MachineState::crashed, StateCause::host_error, "memory of the host has failed");
}

}  // namespace warren::vmm::worker
