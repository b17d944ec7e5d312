// The secret driver of Warren: secrets of this host, durable, their values sealed at rest and in memory.
//
// One object for each daemon, on its loop's thread; the disk is written by a thread of its own. A change
// takes effect when it is on disk; changes are made one after the other.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "driver/contract/secrets.h"
#include "driver/secret/sealer.h"

namespace boost::asio {
class io_context;
}

namespace warren::driver::secret {

struct SecretSettings {
  std::filesystem::path directory;  // /etc/warren/secrets
  KeySources keys;
  // Of what is wrong on disk; never of a value.
  std::function<void(std::string_view)> report = [](std::string_view) {};
};

// Reads the stored secrets; broken files are set aside and reported. Blocks on the disk. Throws Error if the
// directory cannot be used.
std::unique_ptr<SecretDriver> make_secret_driver(boost::asio::io_context& loop, SecretSettings settings);

}  // namespace warren::driver::secret
