// The native format of a hypervisor that has none worth the name, for the tests of the layer above.
#pragma once

#include <string>

#include "driver/contract/error.h"
#include "driver/contract/native_format.h"

namespace warren::daemon::rpc {

class FakeNativeFormats : public driver::NativeFormats {
 public:
  void to_native(const driver::Caller&, const std::string& format, std::string xml, unsigned int,
                 driver::Completion<std::string> done) override {
    done(format + ":" + xml);
  }
  std::string from_native(const driver::Caller&, const std::string&, const std::string&,
                          unsigned int) const override {
    throw driver::operation_unsupported("no");
  }
};

}  // namespace warren::daemon::rpc
