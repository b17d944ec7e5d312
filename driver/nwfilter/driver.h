// The network filter driver of Warren: filters of this host, durable, and their bindings to taps, which live
// as long as the tap.
//
// One object for each daemon, on its loop's thread; files and nft(8) are a thread's of its own, and one more
// learns guests' addresses. Changes are made one after the other; each is in force, and on disk, when it
// completes.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "driver/contract/network_filters.h"

namespace boost::asio {
class io_context;
}

namespace warren::driver::watch {
class HostWatch;
}

namespace warren::driver::nwfilter {

struct FilterSettings {
  std::filesystem::path directory;      // /etc/warren/nwfilter
  std::filesystem::path run_directory;  // /run/warren/nwfilter: bindings; gone when the host restarts
  // Of what is wrong on disk, of taps that could not be filtered as they should. From any thread.
  std::function<void(std::string_view)> report = [](std::string_view) {};
  // Tells when others remove the rules of taps, for them to be put in place again. Outlives the driver. Null:
  // nobody looks.
  watch::HostWatch* watch = nullptr;
};

class FilterDriver : public NetworkFilterDriver {
 public:
  // Puts all rules in place again: another program flushed them.
  virtual void reapply(Completion<void> completion) = 0;
};

// Reads filters and bindings, writes the stock filters where there was no directory of filters, forgets taps
// that are gone and filters the others again, in one step; a tap whose filter cannot be applied is closed and
// reported. Blocks on the disk and for nft(8). Throws Error if a directory cannot be used.
std::unique_ptr<FilterDriver> make_filter_driver(boost::asio::io_context& loop, FilterSettings settings);

}  // namespace warren::driver::nwfilter
