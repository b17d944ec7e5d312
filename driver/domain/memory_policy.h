// Where on the host the memory of what a thread starts is taken from: <numatune>.
//
// The policy is the calling thread's own while the object lives, and inherited by the processes it spawns
// (set_mempolicy(2)). Throws Error naming the nodes that are not there.
#pragma once

#include "driver/config/tuning.h"

namespace warren::driver::domain {

class MemoryPolicy {
 public:
  explicit MemoryPolicy(const config::NumaTuning& tuning);
  MemoryPolicy(const MemoryPolicy&) = delete;
  MemoryPolicy& operator=(const MemoryPolicy&) = delete;
  ~MemoryPolicy();

 private:
  bool is_set_ = false;
};

}  // namespace warren::driver::domain
