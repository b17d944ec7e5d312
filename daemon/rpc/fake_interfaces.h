// One active interface of plain values, for the tests of the layer above the contract.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "daemon/rpc/fake_completions.h"
#include "driver/contract/error.h"
#include "driver/contract/interfaces.h"

namespace warren::daemon::rpc {

class FakeInterfaces : public driver::InterfaceDriver {
  using Caller = driver::Caller;
  using Handle = driver::InterfaceHandle;
  template <class T>
  using Completion = driver::Completion<T>;

 public:
  Handle interface{.name = "eth0", .mac = "52:54:00:00:00:02"};
  FakeCompletions completions;
  std::size_t interfaces = 1;  // that there are
  std::string asked;           // the last call, with what came with it

  void list_interfaces(const Caller&, unsigned int flags, Completion<std::vector<Handle>> done) override {
    asked = "list " + std::to_string(flags);
    std::vector<Handle> found;
    if ((flags & VIR_CONNECT_LIST_INTERFACES_INACTIVE) == 0) found.assign(interfaces, interface);
    completions.answer<std::vector<Handle>>(std::move(done), std::move(found));
  }
  void interface_by_name(const Caller&, std::string name, Completion<Handle> done) override {
    if (name != interface.name)
      return completions.answer<Handle>(std::move(done), std::unexpected(no_interface()));
    completions.answer<Handle>(std::move(done), interface);
  }
  void interface_by_mac(const Caller&, std::string mac, Completion<Handle> done) override {
    if (mac != interface.mac)
      return completions.answer<Handle>(std::move(done), std::unexpected(no_interface()));
    completions.answer<Handle>(std::move(done), interface);
  }
  void interface_xml(const Caller&, std::string name, unsigned int flags,
                     Completion<std::string> done) override {
    asked = "xml " + name + " " + std::to_string(flags);
    completions.answer<std::string>(std::move(done), "<interface/>");
  }
  void interface_is_active(const Caller&, std::string name, Completion<bool> done) override {
    asked = "active " + name;
    completions.answer<bool>(std::move(done), true);
  }
  void define_interface(const Caller&, std::string xml, unsigned int flags,
                        Completion<Handle> done) override {
    asked = "define " + xml + " " + std::to_string(flags);
    completions.answer<Handle>(std::move(done), interface);
  }
  void undefine_interface(const Caller&, std::string name, Completion<void> done) override {
    change("undefine " + name, std::move(done));
  }
  void start_interface(const Caller&, std::string name, unsigned int flags, Completion<void> done) override {
    change("start " + name + " " + std::to_string(flags), std::move(done));
  }
  void stop_interface(const Caller&, std::string name, unsigned int flags, Completion<void> done) override {
    change("stop " + name + " " + std::to_string(flags), std::move(done));
  }
  void begin_change(const Caller&, unsigned int flags, Completion<void> done) override {
    change("begin " + std::to_string(flags), std::move(done));
  }
  void commit_change(const Caller&, unsigned int flags, Completion<void> done) override {
    change("commit " + std::to_string(flags), std::move(done));
  }
  void roll_back_change(const Caller&, unsigned int flags, Completion<void> done) override {
    change("roll back " + std::to_string(flags), std::move(done));
  }

 private:
  static driver::Error no_interface() { return {VIR_ERR_NO_INTERFACE, "there is none", VIR_FROM_INTERFACE}; }
  void change(std::string what, Completion<void> done) {
    asked = std::move(what);
    completions.answer<void>(std::move(done), {});
  }
};

}  // namespace warren::daemon::rpc
