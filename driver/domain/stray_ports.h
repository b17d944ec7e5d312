// Ports of networks that a daemon which died had asked for, and had not written down whom for. Implementation
// header (Asio).
#pragma once

#include "driver/domain/environment.h"

namespace warren::driver::domain {

// Those of the domain `owner` that its live definition does not name; its adoption calls this while the table
// still has it. One that cannot be deleted is logged, and the others are.
Task<> delete_stray_ports_of(std::shared_ptr<Environment> environment, Uuid owner);

}  // namespace warren::driver::domain
