// Secrets on disk: definitions in one directory, sealed values in another below it.
//
// Crash-safe in whole steps: a value without its definition is removed when it is found. Blocks on the disk:
// one thread at a time, never the loop's. Throws driver::Error.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "driver/secret/sealer.h"
#include "driver/secret/secret_definition.h"
#include "driver/store/document_store.h"

namespace warren::driver::secret {

struct StoredSecret {
  SecretDefinition definition;
  std::optional<SealedValue> value;
};

class SecretStore {
 public:
  explicit SecretStore(const std::filesystem::path& directory,
                       store::FileOperations& operations = store::system_file_operations())
      : definitions_(directory, operations), values_(directory / "values", operations) {}

  void write_definition(const SecretDefinition& definition);
  void write_value(const Uuid& secret, const SealedValue& value);
  // The definition and its value; none is no error.
  void remove(const Uuid& secret);

  // `broken` gets a sentence for each file that is not used.
  std::vector<StoredSecret> load_all(std::vector<std::string>& broken);

 private:
  store::DocumentStore definitions_;
  store::DocumentStore values_;
};

}  // namespace warren::driver::secret
