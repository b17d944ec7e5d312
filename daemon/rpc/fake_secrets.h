// One secret of plain values, for the tests of the layer above the contract.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "driver/contract/secrets.h"

namespace warren::daemon::rpc {

class FakeSecrets : public driver::SecretDriver {
 public:
  driver::SecretHandle secret{
      .uuid = {{1, 2, 3}}, .usage_type = VIR_SECRET_USAGE_TYPE_CEPH, .usage_id = "demo"};
  std::string stored = "stored value";
  std::map<SubscriptionId, Handler> handlers;

  std::vector<driver::SecretHandle> list(const driver::Caller&, unsigned int) const override {
    return {secret};
  }
  driver::SecretHandle lookup_by_uuid(const driver::Caller&, const driver::Uuid&) const override {
    return secret;
  }
  driver::SecretHandle lookup_by_usage(const driver::Caller&, int, const std::string&) const override {
    return secret;
  }
  std::string xml(const driver::Caller&, const driver::Uuid&, unsigned int) const override {
    return "<secret/>";
  }
  driver::SecretValue value(const driver::Caller&, const driver::Uuid&, unsigned int) const override {
    return driver::SecretValue(
        std::span(reinterpret_cast<const std::uint8_t*>(stored.data()), stored.size()));
  }
  driver::SecretValue value_for_use(const driver::Uuid&) const override {
    return value(driver::Caller{}, driver::Uuid{}, 0);
  }
  void define(const driver::Caller&, std::string, unsigned int,
              driver::Completion<driver::SecretHandle> done) override {
    done(secret);
  }
  void undefine(const driver::Caller&, const driver::Uuid&, driver::Completion<void> done) override {
    done({});
  }
  void set_value(const driver::Caller&, const driver::Uuid&, driver::SecretValue value, unsigned int,
                 driver::Completion<void> done) override {
    stored.assign(value.bytes().begin(), value.bytes().end());
    done({});
  }
  SubscriptionId subscribe(int, std::optional<driver::Uuid>, Handler handler) override {
    handlers[++last_] = std::move(handler);
    return last_;
  }
  void unsubscribe(SubscriptionId id) noexcept override { handlers.erase(id); }

 private:
  SubscriptionId last_ = 0;
};

}  // namespace warren::daemon::rpc
