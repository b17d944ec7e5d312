// clang-format off: one line per procedure
#include "daemon/rpc/handlers_connect.h"
#include "daemon/rpc/handlers_host.h"
#include "daemon/rpc/handlers_native_format.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/connect.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::connect_open>(1, "CONNECT_OPEN", kHigh | kPreOpen, "connect:getattr"),
    served<&handlers::connect_close>(2, "CONNECT_CLOSE", kHigh | kPreOpen, "none"),
    served<&handlers::connect_get_type>(3, "CONNECT_GET_TYPE", kHigh, "connect:getattr"),
    served<&handlers::connect_get_version>(4, "CONNECT_GET_VERSION", kHigh, "connect:getattr"),
    served<&handlers::connect_get_max_vcpus>(5, "CONNECT_GET_MAX_VCPUS", kHigh, "connect:read"),
    served<&handlers::connect_get_capabilities>(7, "CONNECT_GET_CAPABILITIES", kLow, "connect:read"),
    served<&handlers::connect_get_hostname>(59, "CONNECT_GET_HOSTNAME", kHigh, "connect:getattr"),
    served<&handlers::connect_supports_feature>(60, "CONNECT_SUPPORTS_FEATURE", kHigh | kPreOpen, "connect:getattr"),
    served<&handlers::connect_get_uri>(110, "CONNECT_GET_URI", kHigh, "connect:getattr"),
    served<&handlers::connect_domain_xml_from_native>(135, "CONNECT_DOMAIN_XML_FROM_NATIVE", kLow | kWrite, "connect:write", Part::native_formats),
    served<&handlers::connect_domain_xml_to_native>(136, "CONNECT_DOMAIN_XML_TO_NATIVE", kLow | kWrite, "connect:write", Part::native_formats),
    served<&handlers::connect_is_secure>(149, "CONNECT_IS_SECURE", kHigh, "none"),
    served<&handlers::connect_get_lib_version>(157, "CONNECT_GET_LIB_VERSION", kHigh, "connect:getattr"),
    served<&handlers::connect_compare_cpu>(158, "CONNECT_COMPARE_CPU", kHigh, "connect:read"),
    served<&handlers::connect_baseline_cpu>(162, "CONNECT_BASELINE_CPU", kLow, "connect:read"),
    served<&handlers::connect_get_sysinfo>(203, "CONNECT_GET_SYSINFO", kHigh, "connect:read"),
    served<&handlers::connect_get_cpu_model_names>(312, "CONNECT_GET_CPU_MODEL_NAMES", kLow, "connect:read"),
    served<&handlers::connect_get_domain_capabilities>(342, "CONNECT_GET_DOMAIN_CAPABILITIES", kLow | kWrite, "connect:write"),
    served<&handlers::connect_compare_hypervisor_cpu>(393, "CONNECT_COMPARE_HYPERVISOR_CPU", kLow | kWrite, "connect:write"),
    served<&handlers::connect_baseline_hypervisor_cpu>(394, "CONNECT_BASELINE_HYPERVISOR_CPU", kLow | kWrite, "connect:write"),
    served<&handlers::connect_set_identity>(419, "CONNECT_SET_IDENTITY", kLow, "connect:write"),
};

}  // namespace

std::span<const Procedure> connect_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
