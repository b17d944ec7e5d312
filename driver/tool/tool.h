// Runs one of the host's tools (mount, lvcreate, nft, …) and waits for it.
//
// A tool is found by its name in the system's directories alone, gets an environment of its own (LC_ALL=C),
// and belongs to its maker's process group: it ends with a helper of the storage driver. Blocks; any thread
// of a program that ignores SIGPIPE.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm-core/os/file_descriptor.h"

namespace warren::driver {

struct Tool {
  std::string name;
  std::vector<std::string> arguments;
  std::string input;  // for its standard input
  std::chrono::seconds deadline{60};
  // Called a few times a second while it runs; the deadline counts from the last call that returned true.
  std::function<bool()> tick;
  std::string directory;  // to work in
  // What it has open as 3, 4 and so on, and may leave to what it leaves running; each is valid.
  std::vector<const vmm::FileDescriptor*> inherited;
};

struct ToolResult {
  int status = 0;      // exit status, or 128 and the signal's number
  std::string output;  // standard output, at most 16 MiB
  std::string errors;  // standard error
};

// Throws driver::Error when the tool is not installed or does not end in time (it is killed then).
ToolResult run_tool(const Tool& tool);
// The output of a tool that has to succeed: INTERNAL_ERROR with what it said if it does not.
std::string require_tool(const Tool& tool);
// Its path; empty if it is not installed.
std::string find_tool(std::string_view name);

std::vector<std::string_view> split_lines(std::string_view text);
std::vector<std::string_view> split_fields(std::string_view line, char separator);

}  // namespace warren::driver
