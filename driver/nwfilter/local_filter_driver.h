// FilterDriver for the filters of this host. Implementation header (Asio).
#pragma once

#include <memory>

#include "driver/loop/turn.h"
#include "driver/nwfilter/driver.h"
#include "driver/nwfilter/filter_table.h"
#include "driver/nwfilter/tap_watcher.h"

namespace warren::driver::nwfilter {

class LocalFilterDriver final : public FilterDriver {
 public:
  LocalFilterDriver(boost::asio::io_context& loop, FilterSettings settings);
  ~LocalFilterDriver() override;

  std::vector<FilterHandle> list_filters(const Caller& caller, unsigned int flags) const override;
  FilterHandle filter_by_name(const Caller& caller, const std::string& name) const override;
  FilterHandle filter_by_uuid(const Caller& caller, const Uuid& uuid) const override;
  std::string filter_xml(const Caller& caller, const Uuid& filter, unsigned int flags) const override;
  void define_filter(const Caller& caller, std::string xml, unsigned int flags,
                     Completion<FilterHandle> completion) override;
  void undefine_filter(const Caller& caller, const Uuid& filter, Completion<void> completion) override;
  std::vector<FilterBindingHandle> list_bindings(const Caller& caller, unsigned int flags) const override;
  FilterBindingHandle binding_by_port_device(const Caller& caller, const std::string& device) const override;
  std::string binding_xml(const Caller& caller, const std::string& device, unsigned int flags) const override;
  void create_binding(const Caller& caller, std::string xml, unsigned int flags,
                      Completion<FilterBindingHandle> completion) override;
  void delete_binding(const Caller& caller, const std::string& device, std::optional<Uuid> owner,
                      Completion<void> completion) override;
  void reapply(Completion<void> completion) override;

 private:
  // What tasks hold on to: they may end after the driver does.
  struct Service;

  std::shared_ptr<Service> service_;
};

}  // namespace warren::driver::nwfilter
