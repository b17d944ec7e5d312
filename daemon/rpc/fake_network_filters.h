// One filter with one binding, of plain values, for the tests of the layer above the contract.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/rpc/fake_completions.h"
#include "driver/contract/error.h"
#include "driver/contract/network_filters.h"

namespace warren::daemon::rpc {

class FakeNetworkFilters : public driver::NetworkFilterDriver {
  using Caller = driver::Caller;
  using Uuid = driver::Uuid;
  template <class T>
  using Completion = driver::Completion<T>;

 public:
  driver::FilterHandle filter{.name = "clean-traffic", .uuid = {{13, 14, 15}}};
  driver::FilterBindingHandle binding{.port_device = "tap0", .filter = "clean-traffic"};
  FakeCompletions completions;
  std::size_t filters = 1;    // that there are
  mutable std::string asked;  // the last call, with what came with it

  std::vector<driver::FilterHandle> list_filters(const Caller&, unsigned int flags) const override {
    asked = "list " + std::to_string(flags);
    return std::vector<driver::FilterHandle>(filters, filter);
  }
  driver::FilterHandle filter_by_name(const Caller&, const std::string& name) const override {
    if (name != filter.name) throw no_filter();
    return filter;
  }
  driver::FilterHandle filter_by_uuid(const Caller&, const Uuid& uuid) const override { return find(uuid); }
  std::string filter_xml(const Caller&, const Uuid& uuid, unsigned int) const override {
    return find(uuid), "<filter/>";
  }
  void define_filter(const Caller&, std::string xml, unsigned int flags,
                     Completion<driver::FilterHandle> done) override {
    asked = "define " + xml + " " + std::to_string(flags);
    completions.answer<driver::FilterHandle>(std::move(done), filter);
  }
  void undefine_filter(const Caller&, const Uuid& uuid, Completion<void> done) override {
    asked = "undefine";
    if (uuid != filter.uuid) return completions.answer<void>(std::move(done), std::unexpected(no_filter()));
    completions.answer<void>(std::move(done), {});
  }

  std::vector<driver::FilterBindingHandle> list_bindings(const Caller&, unsigned int flags) const override {
    asked = "list bindings " + std::to_string(flags);
    return {binding};
  }
  driver::FilterBindingHandle binding_by_port_device(const Caller&,
                                                     const std::string& device) const override {
    if (device != binding.port_device)
      throw driver::Error(VIR_ERR_NO_NWFILTER_BINDING, device, VIR_FROM_NWFILTER);
    return binding;
  }
  std::string binding_xml(const Caller& caller, const std::string& device, unsigned int) const override {
    return binding_by_port_device(caller, device), "<filterbinding/>";
  }
  void create_binding(const Caller&, std::string xml, unsigned int flags,
                      Completion<driver::FilterBindingHandle> done) override {
    asked = "create binding " + xml + " " + std::to_string(flags);
    completions.answer<driver::FilterBindingHandle>(std::move(done), binding);
  }
  void delete_binding(const Caller&, const std::string& device, std::optional<Uuid> owner,
                      Completion<void> done) override {
    asked = "delete binding " + device + (owner ? " of " + owner->to_string() : "");
    completions.answer<void>(std::move(done), {});
  }

 private:
  // As a careless driver says it: in the general domain.
  static driver::Error no_filter() { return {VIR_ERR_NO_NWFILTER, "there is none"}; }
  const driver::FilterHandle& find(const Uuid& uuid) const {
    if (uuid != filter.uuid) throw no_filter();
    return filter;
  }
};

}  // namespace warren::daemon::rpc
