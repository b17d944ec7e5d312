#include "daemon/rpc/handlers_domain_disk.h"

#include <algorithm>

#include "daemon/rpc/completion.h"
#include "daemon/rpc/convert.h"
#include "daemon/rpc/session.h"

namespace warren::daemon::rpc::handlers {

void domain_set_block_io_tune(Call& call, const DomainSetBlockIoTuneArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_block_io_tune(session.caller(), to_driver(arguments.dom.uuid), arguments.disk,
                                         to_driver(arguments.params), arguments.flags,
                                         when_done(std::move(reply)));
}

DomainGetBlockIoTuneResult domain_get_block_io_tune(Call& call, const DomainGetBlockIoTuneArgs& arguments) {
  Session& session = call.session();
  if (arguments.nparams < 0 ||
      static_cast<std::uint32_t>(arguments.nparams) > kDomainBlockIoTuneParametersMax)
    throw driver::Error(VIR_ERR_RPC, "nparams too large", VIR_FROM_RPC);
  // The first call of two asks how many there are, and may leave the disk out.
  if (arguments.nparams == 0 && !arguments.disk)
    return {.params = {}, .nparams = driver::DomainDisks::kBlockIoTuneParameters};
  const driver::TypedParameters found = session.hypervisor().block_io_tune(
      session.caller(), to_driver(arguments.dom.uuid), arguments.disk.value_or(""), arguments.flags);
  DomainGetBlockIoTuneResult result;
  if (arguments.nparams == 0) {
    result.nparams = static_cast<std::int32_t>(found.size());
    return result;
  }
  const auto count = std::min(found.size(), static_cast<std::size_t>(arguments.nparams));
  for (std::size_t i = 0; i < count; ++i) result.params.push_back(to_protocol(found[i]));
  return result;
}

void domain_block_resize(Call& call, const DomainBlockResizeArgs& arguments, Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().block_resize(session.caller(), to_driver(arguments.dom.uuid), arguments.disk,
                                    arguments.size, arguments.flags, when_done(std::move(reply)));
}

void domain_set_block_threshold(Call& call, const DomainSetBlockThresholdArgs& arguments,
                                Reply<Nothing> reply) {
  Session& session = call.session();
  session.hypervisor().set_block_threshold(session.caller(), to_driver(arguments.dom.uuid), arguments.dev,
                                           arguments.threshold, arguments.flags, when_done(std::move(reply)));
}

}  // namespace warren::daemon::rpc::handlers
