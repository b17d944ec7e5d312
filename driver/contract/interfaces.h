// The host's own network interfaces (virInterface*).
//
// Flags and errors are those of libvirt's interface driver. Everything is called on the loop's thread. What
// is asked of the host completes later.
#pragma once

#include <string>
#include <vector>

#include <libvirt/libvirt.h>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"

namespace warren::driver {

// Looked up by its name alone.
struct InterfaceHandle {
  std::string name;
  std::string mac;  // empty for one without

  friend bool operator==(const InterfaceHandle&, const InterfaceHandle&) = default;
};

class InterfaceDriver {
 public:
  virtual ~InterfaceDriver() = default;

  // `flags` are VIR_CONNECT_LIST_INTERFACES_*. Ordered by name.
  virtual void list_interfaces(const Caller& caller, unsigned int flags,
                               Completion<std::vector<InterfaceHandle>> completion) = 0;
  // They end with VIR_ERR_NO_INTERFACE, as do all that follow; by_mac with VIR_ERR_MULTIPLE_INTERFACES where
  // there are several.
  virtual void interface_by_name(const Caller& caller, std::string name,
                                 Completion<InterfaceHandle> completion) = 0;
  virtual void interface_by_mac(const Caller& caller, std::string mac,
                                Completion<InterfaceHandle> completion) = 0;
  // `flags` are VIR_INTERFACE_XML_*.
  virtual void interface_xml(const Caller& caller, std::string name, unsigned int flags,
                             Completion<std::string> completion) = 0;
  virtual void interface_is_active(const Caller& caller, std::string name, Completion<bool> completion) = 0;
  virtual void define_interface(const Caller& caller, std::string xml, unsigned int flags,
                                Completion<InterfaceHandle> completion) = 0;
  virtual void undefine_interface(const Caller& caller, std::string name, Completion<void> completion) = 0;
  virtual void start_interface(const Caller& caller, std::string name, unsigned int flags,
                               Completion<void> completion) = 0;
  virtual void stop_interface(const Caller& caller, std::string name, unsigned int flags,
                              Completion<void> completion) = 0;

  // A change of several interfaces that can be taken back: virInterfaceChangeBegin and what ends it.
  virtual void begin_change(const Caller& caller, unsigned int flags, Completion<void> completion) = 0;
  virtual void commit_change(const Caller& caller, unsigned int flags, Completion<void> completion) = 0;
  virtual void roll_back_change(const Caller& caller, unsigned int flags, Completion<void> completion) = 0;
};

}  // namespace warren::driver
