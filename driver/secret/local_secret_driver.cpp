#include "driver/secret/local_secret_driver.h"

#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

namespace warren::driver::secret {

namespace {

namespace asio = boost::asio;

// As many as one answer of the remote protocol can list.
constexpr std::size_t kMostSecrets = 16384;

Error no_secret(std::string detail) {
  return {VIR_ERR_NO_SECRET, std::move(detail), VIR_FROM_SECRET};
}

Error secret_error(virErrorNumber code, std::string detail) {
  return {code, std::move(detail), VIR_FROM_SECRET};
}

// Whether a pair of "is" and "is not" bits lets something through; neither bit and both bits let all.
bool admits(unsigned int flags, unsigned int is, unsigned int is_not, bool value) {
  return (flags & (is | is_not)) == 0 || (flags & (value ? is : is_not)) != 0;
}

}  // namespace

std::unique_ptr<SecretDriver> make_secret_driver(asio::io_context& loop, SecretSettings settings) {
  return std::make_unique<LocalSecretDriver>(loop, std::move(settings));
}

LocalSecretDriver::LocalSecretDriver(asio::io_context& loop, SecretSettings settings)
    : loop_(loop),
      settings_(std::move(settings)),
      sealer_(settings_.keys),
      store_(settings_.directory),
      subscriptions_(loop) {
  std::vector<std::string> broken;
  for (StoredSecret& stored : store_.load_all(broken)) {
    const SecretDefinition& definition = stored.definition;
    if (find_usage(definition.usage_type, definition.usage_id) != nullptr) {
      broken.push_back(
          fmt::format("secret {} is not used: another one has its usage", definition.uuid.to_string()));
      continue;
    }
    const Uuid uuid = definition.uuid;
    secrets_.emplace(uuid, Secret{std::move(stored.definition), std::move(stored.value)});
  }
  for (const std::string& line : broken) settings_.report(line);
}

LocalSecretDriver::~LocalSecretDriver() {
  store_thread_.join();
}

const LocalSecretDriver::Secret& LocalSecretDriver::find(const Uuid& uuid) const {
  const auto found = secrets_.find(uuid);
  if (found == secrets_.end())
    throw no_secret(fmt::format("no secret with matching uuid '{}'", uuid.to_string()));
  return found->second;
}

const LocalSecretDriver::Secret* LocalSecretDriver::find_usage(int usage_type,
                                                               const std::string& usage_id) const {
  if (usage_type == VIR_SECRET_USAGE_TYPE_NONE) return nullptr;
  for (const auto& [uuid, secret] : secrets_) {
    if (secret.definition.usage_type == usage_type && secret.definition.usage_id == usage_id) return &secret;
  }
  return nullptr;
}

std::vector<SecretHandle> LocalSecretDriver::list(const Caller&, unsigned int flags) const {
  check_flags(flags,
              VIR_CONNECT_LIST_SECRETS_EPHEMERAL | VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL |
                  VIR_CONNECT_LIST_SECRETS_PRIVATE | VIR_CONNECT_LIST_SECRETS_NO_PRIVATE,
              "virConnectListAllSecrets");
  std::vector<SecretHandle> handles;
  for (const auto& [uuid, secret] : secrets_) {
    if (admits(flags, VIR_CONNECT_LIST_SECRETS_EPHEMERAL, VIR_CONNECT_LIST_SECRETS_NO_EPHEMERAL,
               secret.definition.is_ephemeral) &&
        admits(flags, VIR_CONNECT_LIST_SECRETS_PRIVATE, VIR_CONNECT_LIST_SECRETS_NO_PRIVATE,
               secret.definition.is_private))
      handles.push_back(secret.definition.handle());
  }
  return handles;
}

SecretHandle LocalSecretDriver::lookup_by_uuid(const Caller&, const Uuid& uuid) const {
  return find(uuid).definition.handle();
}

SecretHandle LocalSecretDriver::lookup_by_usage(const Caller&, int usage_type,
                                                const std::string& usage_id) const {
  if (const Secret* secret = find_usage(usage_type, usage_id)) return secret->definition.handle();
  throw no_secret(fmt::format("no secret with matching usage '{}'", usage_id));
}

std::string LocalSecretDriver::xml(const Caller&, const Uuid& secret, unsigned int flags) const {
  check_flags(flags, 0, "virSecretGetXMLDesc");
  return format_secret(find(secret).definition);
}

SecretValue LocalSecretDriver::value(const Caller&, const Uuid& uuid, unsigned int flags) const {
  check_flags(flags, 0, "virSecretGetValue");
  const Secret& secret = find(uuid);
  if (secret.definition.is_private) throw secret_error(VIR_ERR_INVALID_SECRET, "secret is private");
  return value_for_use(uuid);
}

SecretValue LocalSecretDriver::value_for_use(const Uuid& uuid) const {
  const Secret& secret = find(uuid);
  if (!secret.value) throw no_secret(fmt::format("secret '{}' does not have a value", uuid.to_string()));
  return sealer_.open(uuid, *secret.value);
}

void LocalSecretDriver::define(const Caller&, std::string xml, unsigned int flags,
                               Completion<SecretHandle> completion) {
  SecretDefinition definition;
  std::optional<Error> refused;
  try {
    check_flags(flags, VIR_SECRET_DEFINE_VALIDATE, "virSecretDefineXML");
    definition = parse_secret(xml, (flags & VIR_SECRET_DEFINE_VALIDATE) != 0);
  } catch (const Error& error) {
    refused = error;
  }
  if (refused) return completion(std::unexpected(*refused));
  const SecretHandle handle = definition.handle();
  change([this, definition = std::move(definition)] { return plan_definition(definition); },
         [handle, completion = std::move(completion)](std::expected<void, Error> outcome) mutable {
           if (!outcome) return completion(std::unexpected(outcome.error()));
           completion(handle);
         });
}

LocalSecretDriver::Plan LocalSecretDriver::plan_definition(const SecretDefinition& definition) {
  const auto known = secrets_.find(definition.uuid);
  const std::string uuid = definition.uuid.to_string();
  if (known != secrets_.end()) {
    const SecretDefinition& old = known->second.definition;
    if (old.usage_type != definition.usage_type || old.usage_id != definition.usage_id) {
      throw secret_error(
          VIR_ERR_INTERNAL_ERROR,
          fmt::format("a secret with UUID {} is already defined for use with {}", uuid, old.usage_id));
    }
    if (old.is_private && !definition.is_private)
      throw secret_error(VIR_ERR_OPERATION_DENIED, "cannot change private flag on existing secret");
  } else {
    if (const Secret* other = find_usage(definition.usage_type, definition.usage_id)) {
      throw secret_error(VIR_ERR_INTERNAL_ERROR,
                         fmt::format("a secret with UUID {} already defined for use with {}",
                                     other->definition.uuid.to_string(), definition.usage_id));
    }
    if (secrets_.size() >= kMostSecrets)
      throw secret_error(VIR_ERR_OPERATION_FAILED,
                         fmt::format("there are {} secrets, which is the most", secrets_.size()));
  }
  Plan plan;
  const bool was_stored = known != secrets_.end() && !known->second.definition.is_ephemeral;
  if (!definition.is_ephemeral) {
    // The value of one that was ephemeral is written with it.
    std::optional<SealedValue> value;
    if (known != secrets_.end() && !was_stored) value = known->second.value;
    plan.write = [definition, value = std::move(value)](SecretStore& store) {
      if (value) store.write_value(definition.uuid, *value);
      store.write_definition(definition);
    };
  } else if (was_stored) {
    plan.write = [uuid = definition.uuid](SecretStore& store) { store.remove(uuid); };
  }
  plan.commit = [this, definition] {
    secrets_[definition.uuid].definition = definition;
    emit({definition.handle(), VIR_SECRET_EVENT_ID_LIFECYCLE, VIR_SECRET_EVENT_DEFINED});
  };
  return plan;
}

void LocalSecretDriver::undefine(const Caller&, const Uuid& uuid, Completion<void> completion) {
  change(
      [this, uuid] {
        Plan plan;
        const SecretHandle handle = find(uuid).definition.handle();
        if (!find(uuid).definition.is_ephemeral)
          plan.write = [uuid](SecretStore& store) { store.remove(uuid); };
        plan.commit = [this, handle] {
          secrets_.erase(handle.uuid);
          emit({handle, VIR_SECRET_EVENT_ID_LIFECYCLE, VIR_SECRET_EVENT_UNDEFINED});
        };
        return plan;
      },
      std::move(completion));
}

void LocalSecretDriver::set_value(const Caller&, const Uuid& uuid, SecretValue value, unsigned int flags,
                                  Completion<void> completion) {
  change(
      [this, uuid, value = std::move(value), flags] {
        check_flags(flags, 0, "virSecretSetValue");
        const Secret& secret = find(uuid);
        SealedValue sealed = sealer_.seal(uuid, value);
        Plan plan;
        if (!secret.definition.is_ephemeral)
          plan.write = [uuid, sealed](SecretStore& store) { store.write_value(uuid, sealed); };
        plan.commit = [this, uuid, sealed = std::move(sealed)]() mutable {
          Secret& changed = secrets_.at(uuid);
          changed.value = std::move(sealed);
          emit({.secret = changed.definition.handle(), .id = VIR_SECRET_EVENT_ID_VALUE_CHANGED});
        };
        return plan;
      },
      std::move(completion));
}

void LocalSecretDriver::change(std::move_only_function<Plan()> prepare, Completion<void> completion) {
  changes_.push_back({std::move(prepare), std::move(completion)});
  if (!is_changing_) work_off();
}

// Makes the changes of the queue, up to one that has to wait for the disk. A completion may add more.
void LocalSecretDriver::work_off() {
  is_changing_ = true;
  const std::weak_ptr<bool> alive = is_alive_;
  while (!changes_.empty()) {
    Plan plan;
    std::optional<Error> refused;
    try {
      plan = changes_.front().prepare();
    } catch (const Error& error) {
      refused = error;
    } catch (const std::exception& error) {
      refused = internal_error(error.what());
    }
    if (!refused && plan.write) {
      auto write = std::move(plan.write);
      asio::post(store_thread_, [this, alive, guard = asio::make_work_guard(loop_), write = std::move(write),
                                 plan = std::move(plan)]() mutable {
        std::optional<Error> failed;
        try {
          write(store_);
        } catch (const Error& error) {
          failed = error;
        } catch (const std::exception& error) {
          failed = internal_error(error.what());
        }
        asio::post(loop_, [this, alive, plan = std::move(plan), failed = std::move(failed)]() mutable {
          if (alive.expired()) return;
          finish(std::move(plan), std::move(failed));
          if (!alive.expired()) work_off();
        });
      });
      return;
    }
    finish(std::move(plan), std::move(refused));
    if (alive.expired()) return;
  }
  is_changing_ = false;
}

void LocalSecretDriver::finish(Plan plan, std::optional<Error> failed) {
  Change done = std::move(changes_.front());
  changes_.pop_front();
  if (failed) return done.completion(std::unexpected(std::move(*failed)));
  plan.commit();
  done.completion({});
}

LocalSecretDriver::SubscriptionId LocalSecretDriver::subscribe(int event_id, std::optional<Uuid> secret,
                                                               Handler handler) {
  if (event_id != VIR_SECRET_EVENT_ID_LIFECYCLE && event_id != VIR_SECRET_EVENT_ID_VALUE_CHANGED)
    throw secret_error(VIR_ERR_INVALID_ARG, fmt::format("there is no secret event with the id {}", event_id));
  return subscriptions_.add(event_id, secret, std::move(handler));
}

void LocalSecretDriver::unsubscribe(SubscriptionId id) noexcept {
  subscriptions_.remove(id);
}

void LocalSecretDriver::emit(const SecretEvent& event) {
  subscriptions_.emit(event.id, event.secret.uuid, event);
}

}  // namespace warren::driver::secret
