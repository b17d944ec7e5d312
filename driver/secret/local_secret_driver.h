// SecretDriver for the secrets of this host. Implementation header (Asio).
#pragma once

#include <deque>
#include <map>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "driver/loop/subscriptions.h"
#include "driver/secret/driver.h"
#include "driver/secret/secret_store.h"

namespace warren::driver::secret {

class LocalSecretDriver final : public SecretDriver {
 public:
  LocalSecretDriver(boost::asio::io_context& loop, SecretSettings settings);
  ~LocalSecretDriver() override;

  std::vector<SecretHandle> list(const Caller& caller, unsigned int flags) const override;
  SecretHandle lookup_by_uuid(const Caller& caller, const Uuid& uuid) const override;
  SecretHandle lookup_by_usage(const Caller& caller, int usage_type,
                               const std::string& usage_id) const override;
  std::string xml(const Caller& caller, const Uuid& secret, unsigned int flags) const override;
  SecretValue value(const Caller& caller, const Uuid& secret, unsigned int flags) const override;
  SecretValue value_for_use(const Uuid& secret) const override;
  void define(const Caller& caller, std::string xml, unsigned int flags,
              Completion<SecretHandle> completion) override;
  void undefine(const Caller& caller, const Uuid& secret, Completion<void> completion) override;
  void set_value(const Caller& caller, const Uuid& secret, SecretValue value, unsigned int flags,
                 Completion<void> completion) override;
  SubscriptionId subscribe(int event_id, std::optional<Uuid> secret, Handler handler) override;
  void unsubscribe(SubscriptionId id) noexcept override;

 private:
  struct Secret {
    SecretDefinition definition;
    std::optional<SealedValue> value;
  };
  // A change that may be made: what it writes (on the store's thread; may be empty), and what it then does to
  // the table (on the loop).
  struct Plan {
    std::move_only_function<void(SecretStore&)> write;
    std::move_only_function<void()> commit;
  };
  struct Change {
    std::move_only_function<Plan()> prepare;  // throws Error: refused
    Completion<void> completion;
  };

  const Secret& find(const Uuid& uuid) const;
  const Secret* find_usage(int usage_type, const std::string& usage_id) const;
  Plan plan_definition(const SecretDefinition& definition);
  void change(std::move_only_function<Plan()> prepare, Completion<void> completion);
  void work_off();
  void finish(Plan plan, std::optional<Error> failed);
  void emit(const SecretEvent& event);

  boost::asio::io_context& loop_;
  SecretSettings settings_;
  mutable Sealer sealer_;
  SecretStore store_;  // the store's thread only, after construction
  std::map<Uuid, Secret> secrets_;
  std::deque<Change> changes_;  // the first is under way
  bool is_changing_ = false;
  loop::Subscriptions<SecretEvent> subscriptions_;
  std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
  boost::asio::thread_pool store_thread_{1};  // last: it ends first
};

}  // namespace warren::driver::secret
