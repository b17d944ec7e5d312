// What a block device does when the host fails it, and what it tells of itself.
#pragma once

#include <cstdint>
#include <optional>

namespace warren::vmm::virtio {

class Block;

enum class OnBlockError : std::uint8_t {
  report,             // the guest sees VIRTIO_BLK_S_IOERR
  stop,               // the machine is to pause; the request is tried again when it goes on
  ignore,             // the guest is told that all went well
  stop_for_no_space,  // stop for ENOSPC, else report
};

struct BlockFault {
  enum class Action : std::uint8_t { ignore, report, stop };
  bool writes = false;  // else a read
  int error = 0;        // errno
  Action action = Action::report;
};

// A write went beyond the threshold that was set, which is off now.
struct BlockThresholdCrossed {
  std::uint64_t threshold = 0, excess = 0;  // bytes
};

// Since the last look: of several faults the one that weighs most, or the last one.
struct BlockNews {
  std::optional<BlockFault> fault;
  std::optional<BlockThresholdCrossed> crossed;
};

class BlockListener {
 public:
  // There is news to take (Block::take_news) where there was none. On an I/O thread; must not wait.
  virtual void block_has_news(Block& device) noexcept = 0;
  // The device is being destroyed; on the thread that does it, no more news will come.
  virtual void block_goes(Block& device) noexcept = 0;

 protected:
  ~BlockListener() = default;
};

}  // namespace warren::vmm::virtio
