// Standard input and output as a guest's serial terminal, for a worker that runs stand-alone: raw mode, and a
// few keys of our own behind Ctrl-A.
#pragma once

#include <functional>
#include <memory>

#include "vmm-core/os/file_descriptor.h"

namespace boost::asio {
class io_context;
}

namespace warren::vmm::worker {

class Terminal {
 public:
  // `command` gets the key that follows Ctrl-A (Ctrl-A itself goes to the guest when typed twice). Throws
  // Error.
  Terminal(boost::asio::io_context& loop, std::function<void(char)> command);
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  // Puts the terminal back as it was.
  ~Terminal();

  // The guest's side: what is typed, and where output goes. To be taken once.
  FileDescriptor take_input();
  FileDescriptor take_output();
  // Writes out what the guest has said so far.
  void flush() noexcept;

 private:
  class Implementation;
  std::shared_ptr<Implementation> implementation_;
};

}  // namespace warren::vmm::worker
