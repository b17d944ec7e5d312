// Network filters and their bindings to the taps of guests (virNWFilter*, virNWFilterBinding*).
//
// Flags and errors are those of libvirt's nwfilter driver. Everything is called on the loop's thread. Getters
// answer at once; whatever changes rules or files completes later. Domains have their interfaces filtered as
// any client would: through a binding.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <libvirt/libvirt.h>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"
#include "driver/contract/uuid.h"

namespace warren::driver {

// Looked up by its UUID alone.
struct FilterHandle {
  std::string name;
  Uuid uuid;

  friend bool operator==(const FilterHandle&, const FilterHandle&) = default;
};

// Looked up by the name of the tap alone.
struct FilterBindingHandle {
  std::string port_device;
  std::string filter;

  friend bool operator==(const FilterBindingHandle&, const FilterBindingHandle&) = default;
};

class NetworkFilterDriver {
 public:
  virtual ~NetworkFilterDriver() = default;

  // There are no flags yet. Ordered by name.
  virtual std::vector<FilterHandle> list_filters(const Caller& caller, unsigned int flags) const = 0;
  // They throw VIR_ERR_NO_NWFILTER, as do all that follow for a UUID that is not known.
  virtual FilterHandle filter_by_name(const Caller& caller, const std::string& name) const = 0;
  virtual FilterHandle filter_by_uuid(const Caller& caller, const Uuid& uuid) const = 0;
  virtual std::string filter_xml(const Caller& caller, const Uuid& filter, unsigned int flags) const = 0;
  // `flags` are VIR_NWFILTER_DEFINE_*. Taps that the filter is bound to, by whatever way, have the new rules
  // when it completes, or the old ones if it fails.
  virtual void define_filter(const Caller& caller, std::string xml, unsigned int flags,
                             Completion<FilterHandle> completion) = 0;
  // VIR_ERR_OPERATION_INVALID while it is in use.
  virtual void undefine_filter(const Caller& caller, const Uuid& filter, Completion<void> completion) = 0;

  virtual std::vector<FilterBindingHandle> list_bindings(const Caller& caller, unsigned int flags) const = 0;
  // They throw VIR_ERR_NO_NWFILTER_BINDING, as do all that follow for a tap without one.
  virtual FilterBindingHandle binding_by_port_device(const Caller& caller,
                                                     const std::string& device) const = 0;
  virtual std::string binding_xml(const Caller& caller, const std::string& device,
                                  unsigned int flags) const = 0;
  // `flags` are VIR_NWFILTER_BINDING_CREATE_*. The tap is filtered when it completes.
  virtual void create_binding(const Caller& caller, std::string xml, unsigned int flags,
                              Completion<FilterBindingHandle> completion) = 0;
  // With an owner (a domain's UUID) another's binding is as if it were not there; without, it is whoever's.
  virtual void delete_binding(const Caller& caller, const std::string& device, std::optional<Uuid> owner,
                              Completion<void> completion) = 0;
};

}  // namespace warren::driver
