// Calls that change a domain's disks.
#pragma once

#include "daemon/rpc/call.h"
#include "daemon/rpc/protocol/domain.h"
#include "daemon/rpc/protocol/domain_tuning.h"

namespace warren::daemon::rpc::handlers {

using namespace protocol;

void domain_set_block_io_tune(Call& call, const DomainSetBlockIoTuneArgs& arguments, Reply<Nothing> reply);
DomainGetBlockIoTuneResult domain_get_block_io_tune(Call& call, const DomainGetBlockIoTuneArgs& arguments);
void domain_block_resize(Call& call, const DomainBlockResizeArgs& arguments, Reply<Nothing> reply);
void domain_set_block_threshold(Call& call, const DomainSetBlockThresholdArgs& arguments,
                                Reply<Nothing> reply);

}  // namespace warren::daemon::rpc::handlers
