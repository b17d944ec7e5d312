// What a worker tells of memory of the host that has failed.
//
// Event of the control protocol (protocol.h): memory_failed(MemoryFailed).
#pragma once

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

namespace warren::vmm::control {

// Whose memory it was.
enum class MemoryFailureRecipient { worker, guest };
BOOST_DESCRIBE_ENUM(MemoryFailureRecipient, worker, guest)

// What becomes of it: nothing; the guest was told by a machine check; the machine has ended, or is reset.
enum class MemoryFailureAction { ignore, inject, fatal, reset };
BOOST_DESCRIBE_ENUM(MemoryFailureAction, ignore, inject, fatal, reset)

struct MemoryFailed {
  MemoryFailureRecipient recipient = MemoryFailureRecipient::worker;
  MemoryFailureAction action = MemoryFailureAction::ignore;
  bool action_required = false;  // somebody was about to use what was there
  bool recursive = false;        // the guest had not yet dealt with the failure before
};
BOOST_DESCRIBE_STRUCT(MemoryFailed, (), (recipient, action, action_required, recursive))

}  // namespace warren::vmm::control
