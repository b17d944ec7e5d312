// NativeFormats for Warren's worker: makes of a domain's XML the file that `warren-vmm run` runs.
#pragma once

#include <memory>

#include "driver/config/domain_definition.h"
#include "driver/config/host_facts.h"
#include "driver/contract/native_format.h"

namespace boost::asio {
class io_context;
}

namespace warren::driver::domain {

std::unique_ptr<NativeFormats> make_native_formats(boost::asio::io_context& loop, config::HostFacts facts);

// `definition` has been through fill_defaults(). Pure; any thread. Throws Error.
std::string format_native(config::DomainDefinition definition, const config::HostFacts& facts);

}  // namespace warren::driver::domain
