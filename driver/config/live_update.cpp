// What an update may change of a device that a running guest uses.
#include <type_traits>

#include <fmt/format.h>

#include "driver/config/device_change.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

// Refuses a difference by the name of the element or attribute.
class Comparison {
 public:
  explicit Comparison(std::string device) : device_(std::move(device)) {}

  template <typename T>
  void same(const T& wanted, const T& has, std::string_view what) const {
    if (wanted == has) return;
    throw operation_unsupported(
        fmt::format("cannot modify {} of {} while the domain runs: use --config", what, device_));
  }
  // The same for what may be left out.
  template <typename T>
  void same_if_given(T& wanted, const T& has, std::string_view what) const {
    if (!(wanted == T{})) same(wanted, has, what);
    wanted = has;
  }

 private:
  const std::string device_;
};

void compare_place(const Comparison& compare, DeviceInfo& wanted, const DeviceInfo& has) {
  if (wanted.pci && has.pci)
    compare.same(format_pci_address(*wanted.pci), format_pci_address(*has.pci), "<address>");
  wanted.pci = has.pci;
  compare.same_if_given(wanted.alias, has.alias, "<alias>");
  compare.same_if_given(wanted.boot_order, has.boot_order, "<boot order>");
}

// What is left out stays as it is.
void compare_driver(const Comparison& compare, DiskDriver& wanted, const DiskDriver& has) {
  compare.same_if_given(wanted.format, has.format, "<driver type>");
  compare.same_if_given(wanted.cache, has.cache, "<driver cache>");
  compare.same_if_given(wanted.io, has.io, "<driver io>");
  compare.same_if_given(wanted.error_policy, has.error_policy, "<driver error_policy>");
  compare.same_if_given(wanted.read_error_policy, has.read_error_policy, "<driver rerror_policy>");
  compare.same_if_given(wanted.copy_on_read, has.copy_on_read, "<driver copy_on_read>");
  compare.same_if_given(wanted.discard, has.discard, "<driver discard>");
  compare.same_if_given(wanted.detect_zeroes, has.detect_zeroes, "<driver detect_zeroes>");
  compare.same_if_given(wanted.iothread, has.iothread, "<driver iothread>");
  compare.same_if_given(wanted.iothreads, has.iothreads, "<driver><iothreads>");
  compare.same_if_given(wanted.queues, has.queues, "<driver queues>");
  compare.same_if_given(wanted.queue_size, has.queue_size, "<driver queue_size>");
  compare.same_if_given(wanted.packed, has.packed, "<driver packed>");
  wanted.name_qemu = has.name_qemu;
}

Disk merged(Disk wanted, const Disk& has) {
  const Comparison compare("disk " + has.target);
  compare.same(wanted.device, has.device, "@device");
  compare.same(wanted.bus, has.bus, "<target bus>");
  if (wanted.volume && wanted.volume == has.volume) {
    // Nobody looks for it again.
    wanted.source = has.source;
    wanted.source_type = has.source_type;
  }
  if (has.device == DiskDevice::cdrom) {
    // Another medium, or none.
    if (wanted.source == has.source && wanted.source_type == has.source_type) {
      wanted.source_index = has.source_index;
    } else {
      wanted.source_index.reset();
    }
  } else {
    compare.same(wanted.source_type, has.source_type, "@type");
    compare.same(wanted.volume, has.volume, "<source>");
    compare.same(wanted.source, has.source, "<source>");
    compare.same(wanted.server, has.server, "<source>");
    compare.same(wanted.vhost_user, has.vhost_user, "<source>");
    compare.same(wanted.caged, has.caged, "<driver> or <source>");
    compare.same(wanted.descriptor_group, has.descriptor_group, "<source fdgroup>");
    compare.same(wanted.startup_policy, has.startup_policy, "<source startupPolicy>");
    wanted.source_index = has.source_index;
  }
  compare_driver(compare, wanted.driver, has.driver);
  compare.same_if_given(wanted.block_sizes, has.block_sizes, "<blockio>");
  compare.same_if_given(wanted.serial, has.serial, "<serial>");
  compare.same_if_given(wanted.wwn, has.wwn, "<wwn>");
  compare.same_if_given(wanted.vendor, has.vendor, "<vendor>");
  compare.same_if_given(wanted.product, has.product, "<product>");
  compare.same_if_given(wanted.rotation_rate, has.rotation_rate, "<target rotation_rate>");
  compare.same(wanted.read_only, has.read_only, "<readonly>");
  compare.same(wanted.shareable, has.shareable, "<shareable>");
  wanted.backing = has.backing;
  wanted.backing_store_end = has.backing_store_end;
  wanted.mirror = has.mirror;
  wanted.tray_open = has.tray_open;
  if (wanted.drive) compare.same(wanted.drive, has.drive, "<address>");
  wanted.drive = has.drive;
  compare_place(compare, wanted.info, has.info);
  return wanted;
}

Interface merged(Interface wanted, const Interface& has) {
  const Comparison compare("interface " + has.target);
  if (device_plug_of(has) != nullptr)
    throw operation_unsupported(
        fmt::format("interface {} is a device of the host, whose settings cannot change while a guest has it",
                    has.info.alias));
  compare.same(wanted.type, has.type, "@type");
  compare.same_if_given(wanted.mac, has.mac, "<mac>");
  compare.same(wanted.source_bridge, has.source_bridge, "<source>");
  compare.same(wanted.source_network, has.source_network, "<source>");
  compare.same_if_given(wanted.portgroup, has.portgroup, "<source portgroup>");
  compare.same(wanted.source_direct, has.source_direct, "<source>");
  if (is_on_open_vswitch(has)) compare.same(wanted.bandwidth, has.bandwidth, "<bandwidth>");
  compare.same(wanted.user, has.user, "<source>, <ip> or <portForward>");
  compare.same(wanted.vhost_user, has.vhost_user, "<source>");
  compare.same_if_given(wanted.backend, has.backend, "<backend>");
  wanted.port = has.port;
  compare.same_if_given(wanted.filter, has.filter, "<filterref>");
  compare.same_if_given(wanted.vlan, has.vlan, "<vlan>");
  if (wanted.virtual_port && has.virtual_port && !wanted.virtual_port->interface_id)
    wanted.virtual_port->interface_id = has.virtual_port->interface_id;
  compare.same_if_given(wanted.virtual_port, has.virtual_port, "<virtualport>");
  compare.same_if_given(wanted.isolated, has.isolated, "<port isolated>");
  compare.same_if_given(wanted.trust_guest_rx_filters, has.trust_guest_rx_filters, "@trustGuestRxFilters");
  compare.same_if_given(wanted.target, has.target, "<target>");
  compare.same_if_given(wanted.target_managed, has.target_managed, "<target managed>");
  compare.same_if_given(wanted.driver, has.driver, "<driver>");
  compare.same_if_given(wanted.mtu, has.mtu, "<mtu>");
  compare_place(compare, wanted.info, has.info);
  return wanted;
}

// As libvirt has it: all but <requested> stays as it is.
class MemoryComparison {
 public:
  template <typename T>
  void same(const T& wanted, const T& has, std::string_view what) const {
    if (wanted == has) return;
    if constexpr (std::is_integral_v<T>) {
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                  fmt::format("cannot modify memory {} from '{}' to '{}'", what, has, wanted));
    } else {
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED, fmt::format("cannot modify memory {}", what));
    }
  }
};

MemoryDevice merged(const MemoryDevice& wanted, const MemoryDevice& has) {
  if (has.model != MemoryModel::virtio_mem) {
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("cannot modify memory of model '{}'", model_name(has.model)));
  }
  const MemoryComparison compare;
  compare.same(wanted.shared, has.shared, "access");
  compare.same(wanted.discard, has.discard, "discard");
  compare.same(wanted.source_nodes, has.source_nodes, "source nodes");
  compare.same(wanted.page_kib, has.page_kib, "pagesize");
  compare.same(wanted.node, has.node, "targetNode");
  compare.same(wanted.size_kib, has.size_kib, "size");
  compare.same(wanted.block_kib, has.block_kib, "block size");
  MemoryDevice changed = has;
  changed.requested_kib = wanted.requested_kib;
  return changed;
}

struct Merge {
  const DomainDefinition& live;
  Device operator()(const Disk& wanted) const {
    return merged(wanted, std::get<Disk>(find_device(live, wanted)));
  }
  Device operator()(const MemoryDevice& wanted) const {
    return merged(wanted, find_memory_to_update(live, wanted));
  }
  Device operator()(const Interface& wanted) const {
    return merged(wanted, std::get<Interface>(find_device(live, wanted)));
  }
  template <typename T>
  Device operator()(const T& wanted) const {
    throw operation_unsupported(
        fmt::format("live update of device '{}' is not supported", device_kind(wanted)));
  }
};

}  // namespace

Device live_update(const DomainDefinition& live, const Device& wanted) {
  Device whole = std::visit(Merge{live}, wanted);
  complete_device(whole);
  return whole;
}

}  // namespace warren::driver::config
