// clang-format off: one line per procedure
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/node_device.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    missing<NodeNumOfDevicesArgs, NodeNumOfDevicesResult>(111, "NODE_NUM_OF_DEVICES", kHigh, "connect:search_node_devices"),
    missing<NodeListDevicesArgs, NodeListDevicesResult>(112, "NODE_LIST_DEVICES", kHigh, "connect:search_node_devices"),
    missing<NodeDeviceLookupByNameArgs, NodeDeviceLookupByNameResult>(113, "NODE_DEVICE_LOOKUP_BY_NAME", kHigh, "node_device:getattr"),
    missing<NodeDeviceGetXmlDescArgs, NodeDeviceGetXmlDescResult>(114, "NODE_DEVICE_GET_XML_DESC", kLow, "node_device:read"),
    missing<NodeDeviceGetParentArgs, NodeDeviceGetParentResult>(115, "NODE_DEVICE_GET_PARENT", kHigh, "node_device:read"),
    missing<NodeDeviceNumOfCapsArgs, NodeDeviceNumOfCapsResult>(116, "NODE_DEVICE_NUM_OF_CAPS", kHigh, "node_device:read"),
    missing<NodeDeviceListCapsArgs, NodeDeviceListCapsResult>(117, "NODE_DEVICE_LIST_CAPS", kHigh, "node_device:read"),
    missing<NodeDeviceDettachArgs, Nothing>(118, "NODE_DEVICE_DETTACH", kLow | kWrite, "node_device:detach"),
    missing<NodeDeviceReAttachArgs, Nothing>(119, "NODE_DEVICE_RE_ATTACH", kLow | kWrite, "node_device:detach"),
    missing<NodeDeviceResetArgs, Nothing>(120, "NODE_DEVICE_RESET", kLow | kWrite, "node_device:detach"),
    missing<NodeDeviceCreateXmlArgs, NodeDeviceCreateXmlResult>(123, "NODE_DEVICE_CREATE_XML", kLow | kWrite, "node_device:write node_device:start"),
    missing<NodeDeviceDestroyArgs, Nothing>(124, "NODE_DEVICE_DESTROY", kHigh | kWrite, "node_device:stop"),
    missing<ConnectListAllNodeDevicesArgs, ConnectListAllNodeDevicesResult>(285, "CONNECT_LIST_ALL_NODE_DEVICES", kHigh, "connect:search_node_devices"),
    missing<NodeDeviceLookupScsiHostByWwnArgs, NodeDeviceLookupScsiHostByWwnResult>(297, "NODE_DEVICE_LOOKUP_SCSI_HOST_BY_WWN", kHigh, "node_device:getattr"),
    missing<NodeDeviceDetachFlagsArgs, Nothing>(301, "NODE_DEVICE_DETACH_FLAGS", kLow | kWrite, "node_device:detach"),
    missing<NodeDeviceDefineXmlArgs, NodeDeviceDefineXmlResult>(428, "NODE_DEVICE_DEFINE_XML", kLow | kWrite, "node_device:write"),
    missing<NodeDeviceUndefineArgs, Nothing>(429, "NODE_DEVICE_UNDEFINE", kHigh | kWrite, "node_device:delete"),
    missing<NodeDeviceCreateArgs, Nothing>(430, "NODE_DEVICE_CREATE", kHigh | kWrite, "node_device:start"),
    missing<NodeDeviceGetAutostartArgs, NodeDeviceGetAutostartResult>(433, "NODE_DEVICE_GET_AUTOSTART", kHigh | kWrite, "node_device:read"),
    missing<NodeDeviceSetAutostartArgs, Nothing>(434, "NODE_DEVICE_SET_AUTOSTART", kHigh | kWrite, "node_device:write"),
    missing<NodeDeviceIsPersistentArgs, NodeDeviceIsPersistentResult>(435, "NODE_DEVICE_IS_PERSISTENT", kHigh, "node_device:read"),
    missing<NodeDeviceIsActiveArgs, NodeDeviceIsActiveResult>(436, "NODE_DEVICE_IS_ACTIVE", kHigh, "node_device:read"),
};

}  // namespace

std::span<const Procedure> node_device_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
