// Elements of <metadata> as applications set and get them.
#include <memory>

#include <fmt/format.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#include "driver/config/identity.h"
#include "driver/config/xml_tree.h"

namespace warren::driver::config {

namespace {

using Document = std::unique_ptr<xmlDoc, void (*)(xmlDocPtr)>;

Document read(std::string_view xml) {
  // Well-formedness and limits; the document below is known to be harmless then.
  const XmlDocument checked(xml, "metadata_xml");
  std::unique_ptr<xmlParserCtxt, void (*)(xmlParserCtxtPtr)> parser(xmlNewParserCtxt(), xmlFreeParserCtxt);
  Document document(
      parser ? xmlCtxtReadMemory(parser.get(), xml.data(), static_cast<int>(xml.size()), "metadata_xml",
                                 nullptr, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING)
             : nullptr,
      xmlFreeDoc);
  if (!document || !xmlDocGetRootElement(document.get()))
    throw internal_error("metadata cannot be read twice");
  return document;
}

std::string dump(xmlNodePtr node) {
  std::unique_ptr<xmlBuffer, void (*)(xmlBufferPtr)> buffer(xmlBufferCreate(), xmlBufferFree);
  if (!buffer || xmlNodeDump(buffer.get(), node->doc, node, 0, 0) < 0)
    throw internal_error("metadata cannot be written");
  return reinterpret_cast<const char*>(xmlBufferContent(buffer.get()));  // xmlChar is UTF-8
}

const xmlChar* to_xml(const std::string& text) {
  return reinterpret_cast<const xmlChar*>(text.c_str());  // xmlChar is UTF-8
}

// Every element at or below `root`; the depth was limited when the document was checked.
template <typename Function>
void for_each_element(xmlNodePtr root, const Function& function) {
  if (root->type == XML_ELEMENT_NODE) function(root);
  for (xmlNodePtr child = root->children; child; child = child->next) for_each_element(child, function);
}

}  // namespace

MetadataElement parse_metadata_element(std::string_view xml, std::string_view prefix,
                                       std::string_view namespace_uri) {
  const std::string key(prefix);
  const std::string uri(namespace_uri);
  if (uri.empty() || xmlValidateNCName(to_xml(key), 0) != 0 || key == "xml" || key == "xmlns")
    throw xml_error("(metadata_xml)", 0,
                    fmt::format("'{}' cannot be the prefix of a namespace", key.substr(0, 64)));
  const Document document = read(xml);
  xmlNodePtr root = xmlDocGetRootElement(document.get());
  xmlNsPtr space = xmlNewNs(root, to_xml(uri), to_xml(key));
  if (!space) {
    throw xml_error("(metadata_xml)", 0,
                    fmt::format("the element declares the prefix '{}' already", key.substr(0, 64)));
  }
  for_each_element(root, [&](xmlNodePtr node) {
    if (!node->ns) xmlSetNs(node, space);
  });
  // Through the reader of definitions, so that it is kept in the same form; `dump` is one element.
  XmlDocument wrapped(fmt::format("<domain><metadata>{}</metadata></domain>", dump(root)), "metadata_xml");
  if (wrapped.metadata().size() != 1 || wrapped.metadata().front().namespace_uri != uri)
    throw xml_error("(metadata_xml)", 0, "the element has a namespace of its own");
  return std::move(wrapped.metadata().front());
}

std::string metadata_content(const MetadataElement& element) {
  const Document document = read(element.xml);
  xmlNodePtr root = xmlDocGetRootElement(document.get());
  for_each_element(root, [&](xmlNodePtr node) {
    if (node->ns && xmlStrEqual(node->ns->href, to_xml(element.namespace_uri))) xmlSetNs(node, nullptr);
  });
  // Its declaration, unless an attribute still needs it.
  bool needed = false;
  for_each_element(root, [&](xmlNodePtr node) {
    for (xmlAttrPtr attribute = node->properties; attribute; attribute = attribute->next)
      needed = needed || (attribute->ns && xmlStrEqual(attribute->ns->href, to_xml(element.namespace_uri)));
  });
  for (xmlNsPtr* at = &root->nsDef; *at && !needed;) {
    xmlNsPtr declared = *at;
    if (!xmlStrEqual(declared->href, to_xml(element.namespace_uri))) {
      at = &declared->next;
      continue;
    }
    *at = declared->next;
    xmlFreeNs(declared);
  }
  return dump(root);
}

}  // namespace warren::driver::config
