// InterfaceDriver for this host. Implementation header (Asio).
#pragma once

#include <functional>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include "driver/interface/driver.h"
#include "driver/interface/ifupdown.h"

namespace warren::driver::interface {

class LocalInterfaceDriver final : public InterfaceDriver {
 public:
  LocalInterfaceDriver(boost::asio::io_context& loop, InterfaceSettings settings);
  ~LocalInterfaceDriver() override;

  void list_interfaces(const Caller& caller, unsigned int flags,
                       Completion<std::vector<InterfaceHandle>> completion) override;
  void interface_by_name(const Caller& caller, std::string name,
                         Completion<InterfaceHandle> completion) override;
  void interface_by_mac(const Caller& caller, std::string mac,
                        Completion<InterfaceHandle> completion) override;
  void interface_xml(const Caller& caller, std::string name, unsigned int flags,
                     Completion<std::string> completion) override;
  void interface_is_active(const Caller& caller, std::string name, Completion<bool> completion) override;
  void define_interface(const Caller& caller, std::string xml, unsigned int flags,
                        Completion<InterfaceHandle> completion) override;
  void undefine_interface(const Caller& caller, std::string name, Completion<void> completion) override;
  void start_interface(const Caller& caller, std::string name, unsigned int flags,
                       Completion<void> completion) override;
  void stop_interface(const Caller& caller, std::string name, unsigned int flags,
                      Completion<void> completion) override;
  void begin_change(const Caller& caller, unsigned int flags, Completion<void> completion) override;
  void commit_change(const Caller& caller, unsigned int flags, Completion<void> completion) override;
  void roll_back_change(const Caller& caller, unsigned int flags, Completion<void> completion) override;

 private:
  // Has the driver's thread do it, and tells the end on the loop.
  template <typename T>
  void answer(std::move_only_function<T()> work, Completion<T> completion);
  void act(std::move_only_function<void()> work, Completion<void> completion);

  boost::asio::io_context& loop_;
  std::shared_ptr<const Ifupdown> ifupdown_;
  boost::asio::thread_pool thread_{1};  // last: it ends first
};

}  // namespace warren::driver::interface
