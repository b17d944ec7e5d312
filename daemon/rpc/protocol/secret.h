// Arguments and results of the calls for secrets.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct ConnectNumOfSecretsResult {
  std::int32_t num = 0;
};

struct ConnectListSecretsArgs {
  std::int32_t maxuuids = 0;
};

struct ConnectListSecretsResult {
  Array<std::string, kSecretListMax> uuids;
};

struct SecretLookupByUuidArgs {
  Uuid uuid{};
};

struct SecretLookupByUuidResult {
  Secret secret;
};

struct SecretDefineXmlArgs {
  std::string xml;
  std::uint32_t flags = 0;
};

struct SecretDefineXmlResult {
  Secret secret;
};

struct SecretGetXmlDescArgs {
  Secret secret;
  std::uint32_t flags = 0;
};

struct SecretGetXmlDescResult {
  std::string xml;
};

struct SecretSetValueArgs {
  Secret secret;
  SecretOpaque<kSecretValueMax> value;
  std::uint32_t flags = 0;
};

struct SecretGetValueArgs {
  Secret secret;
  std::uint32_t flags = 0;
};

struct SecretGetValueResult {
  SecretOpaque<kSecretValueMax> value;
};

struct SecretUndefineArgs {
  Secret secret;
};

struct SecretLookupByUsageArgs {
  std::int32_t usage_type = 0;
  std::string usage_id;
};

struct SecretLookupByUsageResult {
  Secret secret;
};

struct ConnectListAllSecretsArgs {
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct ConnectListAllSecretsResult {
  Array<Secret, kSecretListMax> secrets;
  std::uint32_t ret = 0;
};

}  // namespace warren::daemon::rpc::protocol
