// Encrypts and authenticates the values of secrets under the daemon's key.
//
// XChaCha20-Poly1305 (libsodium's IETF construction), a random nonce for each value, and the secret's UUID as
// associated data: a value cannot be moved to another secret. The key is 32 random bytes, from systemd's
// credential where the service has one (systemd.exec, LoadCredentialEncrypted=: bound to the host's TPM or
// key) and else from a key file of mode 0600, which is made when first needed. It lies in guarded memory that
// is neither swapped nor dumped.
//
// One thread. Throws driver::Error (INTERNAL_ERROR or SYSTEM_ERROR, domain SECRET).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "driver/contract/secret_value.h"
#include "driver/contract/uuid.h"

namespace warren::driver::secret {

// A value that only this host's key opens.
struct SealedValue {
  std::string key_id;               // tells keys apart, and nothing about them
  std::vector<std::uint8_t> bytes;  // nonce, then ciphertext with its tag
};

struct KeySources {
  std::filesystem::path key_file;
  std::optional<std::filesystem::path> credential;  // of systemd; goes before the key file
};

class Sealer {
 public:
  explicit Sealer(KeySources sources);
  ~Sealer();
  Sealer(const Sealer&) = delete;
  Sealer& operator=(const Sealer&) = delete;

  SealedValue seal(const Uuid& secret, const SecretValue& value);
  // Throws if the value is of another secret or another key, or was changed.
  SecretValue open(const Uuid& secret, const SealedValue& sealed);

 private:
  struct Key;

  std::shared_ptr<const Key> find(const std::string& key_id);
  void load();

  KeySources sources_;
  bool loaded_ = false;
  std::vector<std::shared_ptr<const Key>> keys_;  // the first seals
};

}  // namespace warren::driver::secret
