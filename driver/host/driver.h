// The host driver of Warren. One object for each daemon, on its loop's thread.
#pragma once

#include <filesystem>
#include <memory>

#include "driver/config/host_facts.h"
#include "driver/contract/host.h"

namespace boost::asio {
class io_context;
}

namespace warren::driver::host {

// `root` is "/" but for tests. `facts` are those of the same root.
std::unique_ptr<HostDriver> make_host_driver(boost::asio::io_context& loop, config::HostFacts facts,
                                             std::filesystem::path root = "/");

}  // namespace warren::driver::host
