// Secrets: passphrases and keys that domains and storage refer to by UUID or by what they are for
// (virSecret*).
//
// Flags, errors and events are those of libvirt's secret driver. Everything is called on the loop's thread;
// reads answer at once, changes when they are durable.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <libvirt/libvirt.h>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/secret_value.h"
#include "driver/contract/uuid.h"

namespace warren::driver {

// Looked up by its UUID alone.
struct SecretHandle {
  Uuid uuid;
  int usage_type = VIR_SECRET_USAGE_TYPE_NONE;  // virSecretUsageType
  std::string usage_id;                         // empty without a usage

  friend bool operator==(const SecretHandle&, const SecretHandle&) = default;
};

struct SecretEvent {
  SecretHandle secret;
  int id = VIR_SECRET_EVENT_ID_LIFECYCLE;  // virSecretEventID
  int event = 0;                           // of a lifecycle event: virSecretEventLifecycleType
};

class SecretDriver {
 public:
  virtual ~SecretDriver() = default;

  // `flags` are VIR_CONNECT_LIST_SECRETS_*.
  virtual std::vector<SecretHandle> list(const Caller& caller, unsigned int flags) const = 0;
  // They throw VIR_ERR_NO_SECRET, as do all that follow for a UUID that is not known.
  virtual SecretHandle lookup_by_uuid(const Caller& caller, const Uuid& uuid) const = 0;
  virtual SecretHandle lookup_by_usage(const Caller& caller, int usage_type,
                                       const std::string& usage_id) const = 0;
  virtual std::string xml(const Caller& caller, const Uuid& secret, unsigned int flags) const = 0;
  // VIR_ERR_INVALID_SECRET for a private one, VIR_ERR_NO_SECRET for one without a value.
  virtual SecretValue value(const Caller& caller, const Uuid& secret, unsigned int flags) const = 0;
  // For the daemon's own use, of a private one too. VIR_ERR_NO_SECRET for one without a value.
  virtual SecretValue value_for_use(const Uuid& secret) const = 0;

  // `flags` are VIR_SECRET_DEFINE_*. A secret may be defined again under its UUID with the same usage;
  // a private one stays private.
  virtual void define(const Caller& caller, std::string xml, unsigned int flags,
                      Completion<SecretHandle> completion) = 0;
  virtual void undefine(const Caller& caller, const Uuid& secret, Completion<void> completion) = 0;
  virtual void set_value(const Caller& caller, const Uuid& secret, SecretValue value, unsigned int flags,
                         Completion<void> completion) = 0;

  using Handler = std::function<void(const SecretEvent&)>;
  using SubscriptionId = std::uint64_t;
  // Events of one virSecretEventID, of all secrets or of one. Delivered from the loop, after the state they
  // tell of can be read. An id there is none of throws VIR_ERR_INVALID_ARG.
  virtual SubscriptionId subscribe(int event_id, std::optional<Uuid> secret, Handler handler) = 0;
  // No call of the handler begins after this returns. An unknown id is ignored.
  virtual void unsubscribe(SubscriptionId id) noexcept = 0;
};

}  // namespace warren::driver
