// Whoever works on guest memory by itself: I/O threads behind virtqueues, DMA engines.
#pragma once

namespace warren::vmm {

// Called on the control thread, never while vCPUs run. After pause() returns, nothing in flight touches guest
// memory or interrupts the guest until resume(); what was begun is either complete or will be begun again.
// Repeating either call changes nothing.
class Pausable {
 public:
  virtual void pause() noexcept = 0;
  virtual void resume() noexcept = 0;

 protected:
  ~Pausable() = default;
};

}  // namespace warren::vmm
