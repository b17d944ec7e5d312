// Domains in the words of the program that runs them: virConnectDomainXMLToNative and …FromNative.
//
// Loop's thread; does not depend on which domains there are.
#pragma once

#include <string>

#include "driver/contract/caller.h"
#include "driver/contract/completion.h"

namespace warren::driver {

// Warren's one native format: what `warren-vmm run FILE` runs (docs/user-guide/native-format.md).
inline constexpr const char* kNativeFormat = "warren-json";

class NativeFormats {
 public:
  virtual ~NativeFormats() = default;

  // Opens nothing that the document names. VIR_ERR_INVALID_ARG for a format there is none of.
  virtual void to_native(const Caller& caller, const std::string& format, std::string xml, unsigned int flags,
                         Completion<std::string> completion) = 0;
  // DEVNOTE: refused for every format. A machine specification has neither the domain's name nor what its
  // descriptors were opened for, so that its XML would be guessed.
  virtual std::string from_native(const Caller& caller, const std::string& format, const std::string& native,
                                  unsigned int flags) const = 0;
};

}  // namespace warren::driver
