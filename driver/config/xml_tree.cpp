#include "driver/config/xml_tree.h"

#include <algorithm>

#include <fmt/format.h>

namespace warren::driver::config {

namespace {

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

std::string XmlElement::path() const {
  std::string path = parent_ ? parent_->path() : std::string();
  path += '/';
  path += name_;
  if (!parent_) return path;
  std::size_t position = 0, count = 0;
  for (const XmlElement* sibling : parent_->children_) {
    if (sibling->name_ != name_) continue;
    ++count;
    if (sibling == this) position = count;
  }
  if (count > 1) path += fmt::format("[{}]", position);
  return path;
}

std::optional<std::string_view> XmlElement::attribute(std::string_view name) {
  for (Attribute& attribute : attributes_) {
    if (attribute.name != name) continue;
    attribute.read = true;
    return attribute.value;
  }
  return std::nullopt;
}

XmlElement* XmlElement::child(std::string_view name) {
  XmlElement* found = nullptr;
  for (XmlElement* child : children_) {
    if (child->name_ != name) continue;
    if (found) throw child->malformed("there may be only one");
    child->read_ = true;
    found = child;
  }
  return found;
}

std::vector<XmlElement*> XmlElement::children(std::string_view name) {
  std::vector<XmlElement*> found;
  for (XmlElement* child : children_) {
    if (child->name_ != name) continue;
    child->read_ = true;
    found.push_back(child);
  }
  return found;
}

std::string_view XmlElement::text() {
  text_read_ = true;
  return text_;
}

Error XmlElement::malformed(std::string_view detail) const {
  return xml_error(path(), line_, detail);
}

Error XmlElement::unsupported(std::string_view detail) const {
  return config_unsupported(path(), line_, detail);
}

Error XmlElement::malformed_attribute(std::string_view name, std::string_view detail) const {
  return xml_error(attribute_path(name), line_, detail);
}

Error XmlElement::unsupported_attribute(std::string_view name, std::string_view detail) const {
  return config_unsupported(attribute_path(name), line_, detail);
}

void XmlElement::refuse_unread() const {
  if (!read_) throw unsupported("Warren does not support this element");
  for (const Attribute& attribute : attributes_)
    if (!attribute.read) {
      throw unsupported_attribute(attribute.name,
                                  fmt::format("Warren does not support this attribute (its value is '{}')",
                                              attribute.value.substr(0, 64)));
    }
  if (!text_read_ && !is_blank(text_)) throw malformed("there is to be no text in this element");
  for (const XmlElement* child : children_) child->refuse_unread();
}

}  // namespace warren::driver::config
