#include "driver/nwfilter/binding_status.h"

#include <limits>

#include "driver/config/xml_values.h"
#include "driver/config/xml_writer.h"
#include "driver/contract/error.h"

namespace warren::driver::nwfilter {

namespace {

constexpr config::XmlLimits kLimits{.bytes = 512u << 10, .depth = 8, .nodes = 8192};

LearnedAddress parse_learned(config::XmlElement& element) {
  const auto address = config::parse_ip_address(config::require_text(element, "address"));
  if (!address) throw element.malformed_attribute("address", "it is no IP address");
  LearnedAddress learned{.address = *address};
  if (const auto text = element.attribute("expires")) {
    const auto seconds = config::parse_unsigned(*text);
    if (!seconds || *seconds > std::numeric_limits<std::int64_t>::max() / 2)
      throw element.malformed_attribute("expires", "it is no time");
    learned.expires_s = static_cast<std::int64_t>(*seconds);
  }
  return learned;
}

}  // namespace

// The binding's document is text of this one: each is read with its own limits.
std::string format_status(const BindingStatus& status) {
  config::XmlWriter writer(2048);
  writer.begin("bindingStatus");
  for (const LearnedAddress& learned : status.learned) {
    writer.begin("learned");
    writer.attribute("address", config::format_ip_address(learned.address));
    if (learned.expires_s) writer.attribute("expires", *learned.expires_s);
    writer.end();
  }
  writer.element("binding", config::format_binding(status.binding));
  writer.end();
  return writer.take();
}

BindingStatus parse_status(std::string_view xml) {
  config::XmlDocument document(xml, "binding status", kLimits);
  config::XmlElement& root = document.root();
  if (root.name() != "bindingStatus") throw root.malformed("it is no status of a binding");
  BindingStatus status;
  for (config::XmlElement* learned : root.children("learned"))
    status.learned.push_back(parse_learned(*learned));
  config::XmlElement* binding = root.child("binding");
  if (binding == nullptr) throw root.malformed("it has no <binding>");
  status.binding = config::parse_binding(binding->text());
  root.refuse_unread();
  return status;
}

}  // namespace warren::driver::nwfilter
