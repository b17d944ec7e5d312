// What can be changed of a running or defined domain's disks: limits, size, a threshold. Loop's thread;
// throws Error, or completes with one. A disk is named by its target ("vda") or its source.
#pragma once

#include <cstdint>
#include <string>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/handle.h"
#include "driver/contract/typed_parameter.h"

namespace warren::driver {

class DomainDisks {
 public:
  // VIR_DOMAIN_BLOCK_IOTUNE_*; `flags` are VIR_DOMAIN_AFFECT_*. Limits of a kind (bytes, operations, and the
  // bursts of each) are set together: those of the kind that are not given are lifted.
  virtual void set_block_io_tune(const Caller& caller, const Uuid& domain, std::string disk,
                                 TypedParameters parameters, unsigned int flags,
                                 Completion<void> completion) = 0;
  virtual TypedParameters block_io_tune(const Caller& caller, const Uuid& domain, const std::string& disk,
                                        unsigned int flags) const = 0;
  static constexpr int kBlockIoTuneParameters = 20;
  // To `size` KiB, or bytes with VIR_DOMAIN_BLOCK_RESIZE_BYTES.
  virtual void block_resize(const Caller& caller, const Uuid& domain, const std::string& disk,
                            std::uint64_t size, unsigned int flags, Completion<void> completion) = 0;
  // A BlockThresholdEvent comes when something is written beyond `threshold` bytes; 0: no more.
  virtual void set_block_threshold(const Caller& caller, const Uuid& domain, const std::string& device,
                                   std::uint64_t threshold, unsigned int flags,
                                   Completion<void> completion) = 0;

 protected:
  ~DomainDisks() = default;
};

}  // namespace warren::driver
