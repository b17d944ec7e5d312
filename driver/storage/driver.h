// The storage driver of Warren: pools and volumes of this host.
//
// One object for each daemon, on its loop's thread. It opens no disk and no mount itself: each piece of such
// work is done by a helper process (warren-storage-helper) that can be killed. Active pools outlive it.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "driver/contract/storage.h"
#include "driver/contract/volume_sources.h"

namespace boost::asio {
class io_context;
}

namespace warren::driver::storage {

struct StorageSettings {
  std::filesystem::path configuration_directory;  // /etc/warren/storage: NAME.xml
  std::filesystem::path runtime_directory;        // /run/warren/storage: which pools are active
  std::filesystem::path state_directory;          // /var/lib/warren/storage: declared formats
  std::filesystem::path helper_program;           // warren-storage-helper
  // The value of a secret, by its UUID or else by its usage of virSecretUsageType `type`. Throws Error.
  std::function<std::string(const std::string& uuid, const std::string& usage, int type)> secret;
  // How long a helper may say nothing before it is taken for hung: in work that only looks, and in work that
  // moves data.
  std::chrono::milliseconds look_deadline{60'000};
  std::chrono::milliseconds work_deadline{600'000};
  std::function<void(std::string_view)> report = [](std::string_view) {};
};

class LocalStorage : public StorageDriver, public VolumeSources {
 public:
  // Finds the active pools of an earlier daemon again and, the first time since the host booted, starts those
  // marked for autostart. To be called once, before any front door opens; completes when all is known, or
  // after five seconds: what hangs is waited for behind the scenes.
  virtual void load(Completion<void> completion) = 0;
};

// Throws Error if a directory cannot be used.
std::unique_ptr<LocalStorage> make_storage_driver(boost::asio::io_context& loop, StorageSettings settings);

}  // namespace warren::driver::storage
