// What running guests lose when others remove their taps or bridges: a tap that is gone is told of, and its
// guest told that its link is down; one whose bridge comes back is plugged in again.
//
// The loop's thread.
#pragma once

#include <memory>

#include "driver/domain/driver.h"

namespace warren::driver::watch {
class HostWatch;
}

namespace warren::driver::domain {

class LinkLoss {
 public:
  virtual ~LinkLoss() = default;
};

// `driver` is make_domain_driver()'s. Both outlive what is returned.
std::unique_ptr<LinkLoss> watch_links(DomainDriver& driver, watch::HostWatch& watch);

}  // namespace warren::driver::domain
