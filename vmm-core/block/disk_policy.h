// What a disk does when the host fails it, and what it tells of itself.
#pragma once

#include <cstdint>
#include <optional>

namespace warren::vmm::block {

class Disk;

enum class OnDiskError : std::uint8_t {
  report,             // the guest sees an I/O error
  stop,               // the machine is to pause; the request is tried again when it goes on
  ignore,             // the guest is told that all went well
  stop_for_no_space,  // stop for ENOSPC, else report
};

struct DiskFault {
  enum class Action : std::uint8_t { ignore, report, stop };
  bool writes = false;  // else a read
  int error = 0;        // errno
  Action action = Action::report;
};

// A write went beyond the threshold that was set, which is off now.
struct ThresholdCrossed {
  std::uint64_t threshold = 0, excess = 0;  // bytes
};

// Since the last look: of several faults the one that weighs most, or the last one.
struct DiskNews {
  std::optional<DiskFault> fault;
  std::optional<ThresholdCrossed> crossed;
};

class DiskListener {
 public:
  // There is news to take (Disk::take_news) where there was none. On an I/O thread; must not wait.
  virtual void disk_has_news(Disk& disk) noexcept = 0;
  // The disk is being destroyed; on the thread that does it, no more news will come.
  virtual void disk_goes(Disk& disk) noexcept = 0;

 protected:
  ~DiskListener() = default;
};

}  // namespace warren::vmm::block
