// Arguments and results of the calls for node devices.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/rpc/protocol/limits.h"
#include "daemon/rpc/protocol/objects.h"
#include "daemon/rpc/xdr.h"

namespace warren::daemon::rpc::protocol {

struct NodeNumOfDevicesArgs {
  std::optional<std::string> cap;
  std::uint32_t flags = 0;
};

struct NodeNumOfDevicesResult {
  std::int32_t num = 0;
};

struct NodeListDevicesArgs {
  std::optional<std::string> cap;
  std::int32_t maxnames = 0;
  std::uint32_t flags = 0;
};

struct NodeListDevicesResult {
  Array<std::string, kNodeDeviceListMax> names;
};

struct NodeDeviceLookupByNameArgs {
  std::string name;
};

struct NodeDeviceLookupByNameResult {
  NodeDevice dev;
};

struct NodeDeviceGetXmlDescArgs {
  std::string name;
  std::uint32_t flags = 0;
};

struct NodeDeviceGetXmlDescResult {
  std::string xml;
};

struct NodeDeviceGetParentArgs {
  std::string name;
};

struct NodeDeviceGetParentResult {
  std::optional<std::string> parent_name;
};

struct NodeDeviceNumOfCapsArgs {
  std::string name;
};

struct NodeDeviceNumOfCapsResult {
  std::int32_t num = 0;
};

struct NodeDeviceListCapsArgs {
  std::string name;
  std::int32_t maxnames = 0;
};

struct NodeDeviceListCapsResult {
  Array<std::string, kNodeDeviceCapsListMax> names;
};

struct NodeDeviceDettachArgs {
  std::string name;
};

struct NodeDeviceReAttachArgs {
  std::string name;
};

struct NodeDeviceResetArgs {
  std::string name;
};

struct NodeDeviceCreateXmlArgs {
  std::string xml_desc;
  std::uint32_t flags = 0;
};

struct NodeDeviceCreateXmlResult {
  NodeDevice dev;
};

struct NodeDeviceDestroyArgs {
  std::string name;
};

struct ConnectListAllNodeDevicesArgs {
  std::int32_t need_results = 0;
  std::uint32_t flags = 0;
};

struct ConnectListAllNodeDevicesResult {
  Array<NodeDevice, kNodeDeviceListMax> devices;
  std::uint32_t ret = 0;
};

struct NodeDeviceLookupScsiHostByWwnArgs {
  std::string wwnn;
  std::string wwpn;
  std::uint32_t flags = 0;
};

struct NodeDeviceLookupScsiHostByWwnResult {
  NodeDevice dev;
};

struct NodeDeviceDetachFlagsArgs {
  std::string name;
  std::optional<std::string> driver_name;
  std::uint32_t flags = 0;
};

struct NodeDeviceDefineXmlArgs {
  std::string xml_desc;
  std::uint32_t flags = 0;
};

struct NodeDeviceDefineXmlResult {
  NodeDevice dev;
};

struct NodeDeviceUndefineArgs {
  std::string name;
  std::uint32_t flags = 0;
};

struct NodeDeviceCreateArgs {
  std::string name;
  std::uint32_t flags = 0;
};

struct NodeDeviceGetAutostartArgs {
  std::string name;
};

struct NodeDeviceGetAutostartResult {
  std::int32_t autostart = 0;
};

struct NodeDeviceSetAutostartArgs {
  std::string name;
  std::int32_t autostart = 0;
};

struct NodeDeviceIsPersistentArgs {
  std::string name;
};

struct NodeDeviceIsPersistentResult {
  std::int32_t persistent = 0;
};

struct NodeDeviceIsActiveArgs {
  std::string name;
};

struct NodeDeviceIsActiveResult {
  std::int32_t active = 0;
};

}  // namespace warren::daemon::rpc::protocol
