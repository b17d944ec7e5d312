// The public libvirt function behind a procedure, for messages that name it.
#pragma once

#include <string>
#include <string_view>

#include <libvirt/virterror.h>

namespace warren::daemon::rpc {

// "DOMAIN_CREATE_XML" → "virDomainCreateXML".
std::string api_name(std::string_view procedure);
// The error domain in which that function reports.
virErrorDomain api_error_domain(std::string_view procedure);

}  // namespace warren::daemon::rpc
