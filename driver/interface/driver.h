// The interface driver of Warren: the host's own network interfaces, as the kernel has them, and as the
// host's ifupdown(8) is told to make them.
//
// What it changes are files of its own (interfaces.d/warren-<name>), one for each interface; what others
// configured is never touched. On a host without ifupdown, changes are refused with what is missing
// (VIR_ERR_OPERATION_UNSUPPORTED). One object for each daemon, on its loop's thread; a thread of its own asks
// the kernel and writes, one thing after the other.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "driver/contract/interfaces.h"
#include "driver/tool/tool.h"

namespace boost::asio {
class io_context;
}

namespace warren::driver::interface {

struct InterfaceSettings {
  std::filesystem::path configuration = "/etc/network/interfaces";  // it has to source `directory`/*
  std::filesystem::path directory = "/etc/network/interfaces.d";
  std::filesystem::path
      change;  // where a change that has begun keeps what was: /var/lib/warren/interface-change
  // Runs ifup and ifdown; empty: the host's own, if they are installed.
  std::function<ToolResult(const Tool&)> run;
};

std::unique_ptr<InterfaceDriver> make_interface_driver(boost::asio::io_context& loop,
                                                       InterfaceSettings settings);

}  // namespace warren::driver::interface
