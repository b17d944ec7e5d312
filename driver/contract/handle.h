// Names of objects as they travel between clients and the driver.
//
// A handle is looked up by its UUID alone: name and id are what they were when it was made and may be out of
// date (CONTRACT: "look up by uuid").
#pragma once

#include <string>

#include "driver/contract/uuid.h"

namespace warren::driver {

struct DomainHandle {
  std::string name;
  Uuid uuid;
  int id = -1;  // -1: not running

  friend bool operator==(const DomainHandle&, const DomainHandle&) = default;
};

}  // namespace warren::driver
