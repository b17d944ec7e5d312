// clang-format off: one line per procedure
#include <libvirt/virterror.h>

#include "daemon/rpc/handlers_domain.h"
#include "daemon/rpc/handlers_storage_volume.h"
#include "daemon/rpc/procedure_builder.h"
#include "daemon/rpc/protocol/stream.h"
#include "daemon/rpc/tables.h"

namespace warren::daemon::rpc {
namespace {

using namespace protocol;

constexpr Procedure kProcedures[] = {
    served<&handlers::domain_open_console>(201, "DOMAIN_OPEN_CONSOLE", kLow | kWrite | kStreamToClient, "domain:open_device"),
    served<&handlers::storage_vol_upload>(208, "STORAGE_VOL_UPLOAD", kLow | kWrite | kStreamToServer, "storage_vol:data_write", Part::storage),
    served<&handlers::storage_vol_download>(209, "STORAGE_VOL_DOWNLOAD", kLow | kWrite | kStreamToClient, "storage_vol:data_read", Part::storage),
    declined<DomainScreenshotArgs, DomainScreenshotResult>(211, "DOMAIN_SCREENSHOT", kLow | kWrite | kStreamToClient, "domain:screenshot", VIR_ERR_OPERATION_UNSUPPORTED, "no screens to take screenshot from"),
    served<&handlers::domain_open_channel>(296, "DOMAIN_OPEN_CHANNEL", kLow | kWrite | kStreamToClient, "domain:open_device"),
};

}  // namespace

std::span<const Procedure> stream_procedures() { return kProcedures; }

}  // namespace warren::daemon::rpc
