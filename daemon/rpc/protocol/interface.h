// Arguments and results of the calls for host network interfaces.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct ConnectNumOfInterfacesResult {
  std::int32_t num = 0;
};

struct ConnectListInterfacesArgs {
  std::int32_t maxnames = 0;
};

struct ConnectListInterfacesResult {
  Array<std::string, kInterfaceListMax> names;
};

struct InterfaceLookupByNameArgs {
  std::string name;
};

struct InterfaceLookupByNameResult {
  Interface iface;
};

struct InterfaceLookupByMacStringArgs {
  std::string mac;
};

struct InterfaceLookupByMacStringResult {
  Interface iface;
};

struct InterfaceGetXmlDescArgs {
  Interface iface;
  std::uint32_t flags = 0;
};

struct InterfaceGetXmlDescResult {
  std::string xml;
};

struct InterfaceDefineXmlArgs {
  std::string xml;
  std::uint32_t flags = 0;
};

struct InterfaceDefineXmlResult {
  Interface iface;
};

struct InterfaceUndefineArgs {
  Interface iface;
};

struct InterfaceCreateArgs {
  Interface iface;
  std::uint32_t flags = 0;
};

struct InterfaceDestroyArgs {
  Interface iface;
  std::uint32_t flags = 0;
};

struct ConnectNumOfDefinedInterfacesResult {
  std::int32_t num = 0;
};

struct ConnectListDefinedInterfacesArgs {
  std::int32_t maxnames = 0;
};

struct ConnectListDefinedInterfacesResult {
  Array<std::string, kInterfaceListMax> names;
};

struct InterfaceIsActiveArgs {
  Interface iface;
};

struct InterfaceIsActiveResult {
  std::int32_t active = 0;
};

struct InterfaceChangeBeginArgs {
  std::uint32_t flags = 0;
};

struct InterfaceChangeCommitArgs {
  std::uint32_t flags = 0;
};

struct InterfaceChangeRollbackArgs {
  std::uint32_t flags = 0;
};

struct ConnectListAllInterfacesArgs {
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct ConnectListAllInterfacesResult {
  Array<Interface, kInterfaceListMax> ifaces;
  std::uint32_t ret = 0;
};

}  // namespace warren::daemon::rpc::protocol
