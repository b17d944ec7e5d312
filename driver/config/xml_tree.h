// A parsed XML document as a tree of elements that remember whether anybody read them.
//
// parse_domain() asks for every element and attribute it knows; refuse_unread() then names the first thing in
// the document that nobody asked for. The document is hostile: size, depth and number of nodes are limited
// while libxml2 reads, document types and entities are refused, nothing is loaded. The tree holds views into
// memory of the document: it must outlive them. One thread.
#pragma once

#include <cstddef>
#include <deque>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "driver/config/identity.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

struct XmlLimits {
  std::size_t bytes = 4u << 20;
  std::size_t depth = 64;
  std::size_t nodes = 50'000;  // elements, attributes and namespace declarations
};

class XmlElement {
 public:
  XmlElement(std::string_view name, int line, XmlElement* parent)
      : name_(name), parent_(parent), line_(line) {}

  std::string_view name() const { return name_; }  // with its prefix
  int line() const { return line_; }
  std::string path() const;  // "/domain/devices/disk[2]"
  std::string attribute_path(std::string_view name) const { return path() + "/@" + std::string(name); }

  // Reading marks what is read.
  std::optional<std::string_view> attribute(std::string_view name);
  // The only child of that name, or null. Throws xml_error() for a second one.
  XmlElement* child(std::string_view name);
  std::vector<XmlElement*> children(std::string_view name);
  // All child elements, unread; for elements whose children are told apart by their names.
  const std::vector<XmlElement*>& all_children() const { return children_; }
  std::string_view text();
  void mark_read() { read_ = true; }

  // The errors, ready to throw.
  Error malformed(std::string_view detail) const;
  Error unsupported(std::string_view detail) const;
  Error malformed_attribute(std::string_view name, std::string_view detail) const;
  Error unsupported_attribute(std::string_view name, std::string_view detail) const;

  // Throws config_unsupported() for the first element or attribute at or below this one that was not read,
  // and xml_error() for text where there is none to be.
  void refuse_unread() const;

 private:
  friend class XmlTreeBuilder;
  struct Attribute {
    std::string_view name;
    std::string_view value;
    bool read = false;
  };

  std::string_view name_;
  XmlElement* parent_;
  std::vector<Attribute> attributes_;
  std::vector<XmlElement*> children_;
  std::string text_;
  int line_;
  bool read_ = false;
  bool text_read_ = false;
};

class XmlDocument {
 public:
  // Throws driver::Error: VIR_ERR_XML_DETAIL for what is not well-formed, VIR_ERR_XML_ERROR for what is over
  // a limit or has a document type. `what` names the document in messages: "domain_definition".
  // The children of <metadata> below the root are kept as text (metadata()), not as elements.
  XmlDocument(std::string_view xml, std::string_view what, const XmlLimits& limits = {});
  XmlDocument(const XmlDocument&) = delete;
  XmlDocument& operator=(const XmlDocument&) = delete;

  XmlElement& root() { return *root_; }
  std::vector<MetadataElement>& metadata() { return metadata_; }

 private:
  friend class XmlTreeBuilder;
  std::pmr::monotonic_buffer_resource memory_{4096};
  std::deque<XmlElement> elements_;
  XmlElement* root_ = nullptr;
  std::vector<MetadataElement> metadata_;
};

}  // namespace warren::driver::config
