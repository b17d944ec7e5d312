// clang-format off: one line per procedure
#include <libvirt/virterror.h>

#include "daemon/rpc/handlers_domain.h"
#include "daemon/rpc/handlers_domain_device.h"
#include "daemon/rpc/handlers_domain_disk.h"
#include "daemon/rpc/handlers_domain_inspection.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/domain.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::domain_attach_device>(8, "DOMAIN_ATTACH_DEVICE", kLow | kWrite, "domain:write"),
    served<&handlers::domain_create>(9, "DOMAIN_CREATE", kLow | kWrite, "domain:start"),
    served<&handlers::domain_create_xml>(10, "DOMAIN_CREATE_XML", kLow | kWrite, "domain:write domain:start"),
    served<&handlers::domain_define_xml>(11, "DOMAIN_DEFINE_XML", kHigh | kWrite, "domain:write domain:save"),
    served<&handlers::domain_destroy>(12, "DOMAIN_DESTROY", kHigh | kWrite, "domain:stop"),
    served<&handlers::domain_detach_device>(13, "DOMAIN_DETACH_DEVICE", kLow | kWrite, "domain:write"),
    served<&handlers::domain_get_xml_desc>(14, "DOMAIN_GET_XML_DESC", kLow, "domain:read domain:read_secure:VIR_DOMAIN_XML_SECURE domain:read_secure:VIR_DOMAIN_XML_MIGRATABLE"),
    served<&handlers::domain_get_autostart>(15, "DOMAIN_GET_AUTOSTART", kHigh, "domain:read"),
    served<&handlers::domain_get_info>(16, "DOMAIN_GET_INFO", kLow, "domain:read"),
    served<&handlers::domain_get_max_memory>(17, "DOMAIN_GET_MAX_MEMORY", kHigh, "domain:read"),
    served<&handlers::domain_get_max_vcpus>(18, "DOMAIN_GET_MAX_VCPUS", kHigh, "domain:read"),
    served<&handlers::domain_get_os_type>(19, "DOMAIN_GET_OS_TYPE", kHigh, "domain:read"),
    served<&handlers::connect_list_defined_domains>(21, "CONNECT_LIST_DEFINED_DOMAINS", kHigh, "connect:search_domains"),
    served<&handlers::domain_lookup_by_id>(22, "DOMAIN_LOOKUP_BY_ID", kHigh, "domain:getattr"),
    served<&handlers::domain_lookup_by_name>(23, "DOMAIN_LOOKUP_BY_NAME", kHigh, "domain:getattr"),
    served<&handlers::domain_lookup_by_uuid>(24, "DOMAIN_LOOKUP_BY_UUID", kHigh, "domain:getattr"),
    served<&handlers::connect_num_of_defined_domains>(25, "CONNECT_NUM_OF_DEFINED_DOMAINS", kHigh, "connect:search_domains"),
    served<&handlers::domain_reboot>(27, "DOMAIN_REBOOT", kLow | kWrite, "domain:init_control domain:write:VIR_DOMAIN_REBOOT_GUEST_AGENT"),
    served<&handlers::domain_resume>(28, "DOMAIN_RESUME", kLow | kWrite, "domain:suspend"),
    served<&handlers::domain_set_autostart>(29, "DOMAIN_SET_AUTOSTART", kHigh | kWrite, "domain:write"),
    served<&handlers::domain_set_max_memory>(30, "DOMAIN_SET_MAX_MEMORY", kHigh | kWrite, "domain:write"),
    served<&handlers::domain_set_memory>(31, "DOMAIN_SET_MEMORY", kLow | kWrite, "domain:write"),
    served<&handlers::domain_set_vcpus>(32, "DOMAIN_SET_VCPUS", kLow | kWrite, "domain:write"),
    served<&handlers::domain_shutdown>(33, "DOMAIN_SHUTDOWN", kLow | kWrite, "domain:init_control"),
    served<&handlers::domain_suspend>(34, "DOMAIN_SUSPEND", kLow | kWrite, "domain:suspend"),
    served<&handlers::domain_undefine>(35, "DOMAIN_UNDEFINE", kHigh | kWrite, "domain:delete"),
    served<&handlers::connect_list_domains>(37, "CONNECT_LIST_DOMAINS", kHigh, "connect:search_domains"),
    served<&handlers::connect_num_of_domains>(51, "CONNECT_NUM_OF_DOMAINS", kHigh, "connect:search_domains"),
    served<&handlers::domain_core_dump>(53, "DOMAIN_CORE_DUMP", kLow | kWrite, "domain:core_dump"),
    missing<DomainRestoreArgs, Nothing>(54, "DOMAIN_RESTORE", kLow | kWrite, "domain:start domain:write"),
    missing<DomainSaveArgs, Nothing>(55, "DOMAIN_SAVE", kLow | kWrite, "domain:hibernate"),
    served<&handlers::domain_get_security_label>(121, "DOMAIN_GET_SECURITY_LABEL", kHigh, "domain:read"),
    served<&handlers::domain_is_active>(150, "DOMAIN_IS_ACTIVE", kHigh, "domain:read"),
    served<&handlers::domain_is_persistent>(151, "DOMAIN_IS_PERSISTENT", kHigh, "domain:read"),
    served<&handlers::domain_attach_device_flags>(160, "DOMAIN_ATTACH_DEVICE_FLAGS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_detach_device_flags>(161, "DOMAIN_DETACH_DEVICE_FLAGS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_update_device_flags>(174, "DOMAIN_UPDATE_DEVICE_FLAGS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainManagedSaveArgs, Nothing>(182, "DOMAIN_MANAGED_SAVE", kLow | kWrite, "domain:hibernate"),
    served<&handlers::domain_has_managed_save_image>(183, "DOMAIN_HAS_MANAGED_SAVE_IMAGE", kLow, "domain:read"),
    missing<DomainManagedSaveRemoveArgs, Nothing>(184, "DOMAIN_MANAGED_SAVE_REMOVE", kLow | kWrite, "domain:hibernate"),
    served<&handlers::domain_create_with_flags>(196, "DOMAIN_CREATE_WITH_FLAGS", kLow | kWrite, "domain:start"),
    served<&handlers::domain_set_vcpus_flags>(199, "DOMAIN_SET_VCPUS_FLAGS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG domain:write:VIR_DOMAIN_VCPU_GUEST"),
    served<&handlers::domain_get_vcpus_flags>(200, "DOMAIN_GET_VCPUS_FLAGS", kLow, "domain:read domain:write:VIR_DOMAIN_VCPU_GUEST"),
    served<&handlers::domain_is_updated>(202, "DOMAIN_IS_UPDATED", kHigh, "domain:read"),
    served<&handlers::domain_set_memory_flags>(204, "DOMAIN_SET_MEMORY_FLAGS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_inject_nmi>(210, "DOMAIN_INJECT_NMI", kLow | kWrite, "domain:inject_nmi"),
    served<&handlers::domain_get_state>(212, "DOMAIN_GET_STATE", kHigh, "domain:read"),
    served<&handlers::domain_send_key>(226, "DOMAIN_SEND_KEY", kLow | kWrite, "domain:send_input"),
    served<&handlers::domain_undefine_flags>(231, "DOMAIN_UNDEFINE_FLAGS", kHigh | kWrite, "domain:delete"),
    missing<DomainSaveFlagsArgs, Nothing>(232, "DOMAIN_SAVE_FLAGS", kLow | kWrite, "domain:hibernate"),
    missing<DomainRestoreFlagsArgs, Nothing>(233, "DOMAIN_RESTORE_FLAGS", kLow | kWrite, "domain:start domain:write"),
    served<&handlers::domain_destroy_flags>(234, "DOMAIN_DESTROY_FLAGS", kHigh | kWrite, "domain:stop"),
    missing<DomainSaveImageGetXmlDescArgs, DomainSaveImageGetXmlDescResult>(235, "DOMAIN_SAVE_IMAGE_GET_XML_DESC", kHigh | kWrite, "domain:write"),
    missing<DomainSaveImageDefineXmlArgs, Nothing>(236, "DOMAIN_SAVE_IMAGE_DEFINE_XML", kHigh | kWrite, "domain:write domain:hibernate"),
    served<&handlers::domain_reset>(245, "DOMAIN_RESET", kLow | kWrite, "domain:reset"),
    declined<DomainOpenGraphicsArgs, Nothing>(249, "DOMAIN_OPEN_GRAPHICS", kLow | kWrite | kTakesFds, "domain:open_graphics", VIR_ERR_INTERNAL_ERROR, "No graphics backend with that index: the machine has no graphics device yet"),
    served<&handlers::domain_block_resize>(251, "DOMAIN_BLOCK_RESIZE", kLow | kWrite, "domain:block_write"),
    served<&handlers::domain_shutdown_flags>(258, "DOMAIN_SHUTDOWN_FLAGS", kLow | kWrite, "domain:init_control domain:write:VIR_DOMAIN_SHUTDOWN_GUEST_AGENT"),
    served<&handlers::domain_set_metadata>(264, "DOMAIN_SET_METADATA", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_metadata>(265, "DOMAIN_GET_METADATA", kLow, "domain:read"),
    served<&handlers::connect_list_all_domains>(273, "CONNECT_LIST_ALL_DOMAINS", kHigh, "connect:search_domains"),
    served<&handlers::domain_get_security_label_list>(278, "DOMAIN_GET_SECURITY_LABEL_LIST", kHigh, "domain:read"),
    declined<DomainSendProcessSignalArgs, Nothing>(295, "DOMAIN_SEND_PROCESS_SIGNAL", kLow | kWrite, "domain:send_signal", VIR_ERR_NO_SUPPORT, "virDomainSendProcessSignal"),
    served<&handlers::domain_create_xml_with_files>(309, "DOMAIN_CREATE_XML_WITH_FILES", kLow | kWrite | kTakesFds, "domain:write domain:start"),
    served<&handlers::domain_create_with_files>(310, "DOMAIN_CREATE_WITH_FILES", kLow | kWrite | kTakesFds, "domain:start"),
    served<&handlers::domain_core_dump_with_format>(334, "DOMAIN_CORE_DUMP_WITH_FORMAT", kLow | kWrite, "domain:core_dump"),
    declined<DomainOpenGraphicsFdArgs, Nothing>(343, "DOMAIN_OPEN_GRAPHICS_FD", kLow | kWrite | kReturnsFds, "domain:open_graphics", VIR_ERR_INTERNAL_ERROR, "No graphics backend with that index: the machine has no graphics device yet"),
    served<&handlers::domain_define_xml_flags>(350, "DOMAIN_DEFINE_XML_FLAGS", kHigh | kWrite, "domain:write domain:save"),
    served<&handlers::domain_rename>(358, "DOMAIN_RENAME", kLow | kWrite, "domain:write domain:save"),
    served<&handlers::domain_set_vcpu>(384, "DOMAIN_SET_VCPU", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    missing<DomainManagedSaveGetXmlDescArgs, DomainManagedSaveGetXmlDescResult>(388, "DOMAIN_MANAGED_SAVE_GET_XML_DESC", kLow, "domain:read domain:read_secure:VIR_DOMAIN_SAVE_IMAGE_XML_SECURE"),
    missing<DomainManagedSaveDefineXmlArgs, Nothing>(389, "DOMAIN_MANAGED_SAVE_DEFINE_XML", kLow | kWrite, "domain:write domain:hibernate"),
    served<&handlers::domain_set_lifecycle_action>(390, "DOMAIN_SET_LIFECYCLE_ACTION", kLow | kWrite, "domain:write"),
    served<&handlers::domain_detach_device_alias>(392, "DOMAIN_DETACH_DEVICE_ALIAS", kLow | kWrite, "domain:write domain:save:!VIR_DOMAIN_AFFECT_CONFIG|VIR_DOMAIN_AFFECT_LIVE domain:save:VIR_DOMAIN_AFFECT_CONFIG"),
    served<&handlers::domain_get_launch_security_info>(396, "DOMAIN_GET_LAUNCH_SECURITY_INFO", kLow | kWrite, "domain:read"),
    declined<DomainSetLaunchSecurityStateArgs, Nothing>(439, "DOMAIN_SET_LAUNCH_SECURITY_STATE", kLow | kWrite, "domain:write", VIR_ERR_OPERATION_INVALID, "setting a launch secret is only supported in SEV-enabled domains"),
    missing<DomainSaveParamsArgs, Nothing>(440, "DOMAIN_SAVE_PARAMS", kLow | kWrite, "domain:hibernate"),
    missing<DomainRestoreParamsArgs, Nothing>(441, "DOMAIN_RESTORE_PARAMS", kLow | kWrite, "domain:start domain:write"),
    served<&handlers::domain_fd_associate>(443, "DOMAIN_FD_ASSOCIATE", kLow | kWrite | kTakesFds, "domain:write"),
};

}  // namespace

std::span<const Procedure> domain_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
