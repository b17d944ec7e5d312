// The QEMU monitor's language, as far as scripts ask a domain about itself: QMP commands as JSON, and the
// human monitor's "info".
//
// Everything is answered from the snapshot and the counters; nothing that changes the machine is taken, for
// there are calls for that, but for what monitor_input.h has. Reads procfs; any thread.
#pragma once

#include <string>

#include "driver/domain/snapshot.h"

namespace warren::driver::domain {

// One QMP request: the whole answer, {"return": …, "id": …} or {"error": {"class", "desc"}, "id": …}. Throws
// Error (INTERNAL_ERROR) for what is not JSON.
std::string answer_qmp(const Snapshot& domain, const std::string& request);

// One line of the human monitor: its output.
std::string answer_human_monitor(const Snapshot& domain, const std::string& line);

}  // namespace warren::driver::domain
