// What the daemon changes on a running machine's disks, and what the worker tells of them.
//
// Commands of the control protocol (protocol.h): resize_disk(ResizeDisk), set_disk_limits(SetDiskLimits),
// set_disk_threshold(SetDiskThreshold), disk_sizes→DiskSizes. Events: disk_fault(DiskFault),
// disk_threshold(DiskThresholdCrossed).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

namespace warren::vmm::control {

// What becomes of a request that the host fails (vmm-core/virtio/block_policy.h).
enum class DiskErrorPolicy { report, stop, ignore, enospace };
BOOST_DESCRIBE_ENUM(DiskErrorPolicy, report, stop, ignore, enospace)

enum class DetectZeroes { off, on, unmap };
BOOST_DESCRIBE_ENUM(DetectZeroes, off, on, unmap)

// A second; 0: no limit (vmm-core/block/throttle.h).
struct DiskLimit {
  std::uint64_t rate = 0;
  std::uint64_t burst = 0;
  std::uint64_t burst_seconds = 1;
  friend bool operator==(const DiskLimit&, const DiskLimit&) = default;
};
BOOST_DESCRIBE_STRUCT(DiskLimit, (), (rate, burst, burst_seconds))

struct DiskLimits {
  std::string group;  // disks of the same name share one set of limits; empty: a disk's own
  DiskLimit total_bytes, read_bytes, write_bytes;
  DiskLimit total_operations, read_operations, write_operations;
  std::uint64_t operation_bytes = 0;
  friend bool operator==(const DiskLimits&, const DiskLimits&) = default;
};
BOOST_DESCRIBE_STRUCT(DiskLimits, (),
                      (group, total_bytes, read_bytes, write_bytes, total_operations, read_operations,
                       write_operations, operation_bytes))

struct ResizeDisk {
  std::string id;
  std::uint64_t bytes = 0;
};
BOOST_DESCRIBE_STRUCT(ResizeDisk, (), (id, bytes))

// The limits are those of the whole group from then on.
struct SetDiskLimits {
  std::string id;
  DiskLimits limits;
};
BOOST_DESCRIBE_STRUCT(SetDiskLimits, (), (id, limits))

struct SetDiskThreshold {
  std::string id;
  std::uint64_t bytes = 0;  // 0: none
};
BOOST_DESCRIBE_STRUCT(SetDiskThreshold, (), (id, bytes))

enum class DiskFaultAction { ignore, report, stop };
BOOST_DESCRIBE_ENUM(DiskFaultAction, ignore, report, stop)

// The host failed requests of a disk; of several at a time the gravest. Before the change of state that a
// stop brings.
struct DiskFault {
  std::string id;
  bool writes = false;
  std::int32_t error = 0;  // errno
  DiskFaultAction action = DiskFaultAction::report;
};
BOOST_DESCRIBE_STRUCT(DiskFault, (), (id, writes, error, action))

// A write ended `excess` bytes beyond the threshold, which is off now.
struct DiskThresholdCrossed {
  std::string id;
  std::uint64_t threshold = 0;
  std::uint64_t excess = 0;
};
BOOST_DESCRIBE_STRUCT(DiskThresholdCrossed, (), (id, threshold, excess))

// A disk whose request waits for the machine to go on.
struct StalledDisk {
  std::string id;
  std::int32_t error = 0;  // errno
};
BOOST_DESCRIBE_STRUCT(StalledDisk, (), (id, error))

// What a disk's image has for the guest, wherever it is; 0 of an empty drive.
struct DiskSize {
  std::string id;
  std::uint64_t bytes = 0;
};
BOOST_DESCRIBE_STRUCT(DiskSize, (), (id, bytes))

struct DiskSizes {
  std::vector<DiskSize> disks;
};
BOOST_DESCRIBE_STRUCT(DiskSizes, (), (disks))

// As Commands (server.h): each runs to its end before it returns; what cannot be done throws Error and
// changes nothing.
class DiskCommands {
 public:
  virtual void resize_disk(const ResizeDisk& command) = 0;
  virtual void set_disk_limits(const SetDiskLimits& command) = 0;
  virtual void set_disk_threshold(const SetDiskThreshold& command) = 0;
  virtual DiskSizes disk_sizes() const = 0;

 protected:
  ~DiskCommands() = default;
};

}  // namespace warren::vmm::control
