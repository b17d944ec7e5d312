// Validation against xml-schemas/domain.rng, which is compiled in.
#include <memory>

#include <fmt/format.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>

#include "driver/config/domain_schema_text.h"
#include "driver/config/domain_xml.h"
#include "driver/config/xml_tree.h"

namespace warren::driver::config {

namespace {

struct Finding {
  std::string text;
  std::string element;
  int line = 0;
};

// libxml2 reports the innermost fault first, often without its place, and then what fails because of it.
void collect(void* context, xmlErrorPtr error) {
  auto& finding = *static_cast<Finding*>(context);
  if (!error) return;
  if (finding.text.empty() && error->message) {
    finding.text = error->message;
    while (!finding.text.empty() && finding.text.back() == '\n') finding.text.pop_back();
  }
  const auto* node = static_cast<const xmlNode*>(error->node);
  const int line = node ? static_cast<int>(xmlGetLineNo(const_cast<xmlNodePtr>(node)))  // reads only
                        : error->line;
  if (finding.line > 0 || line <= 0) return;
  finding.line = line;
  if (node && node->type == XML_ELEMENT_NODE && node->name)
    finding.element = reinterpret_cast<const char*>(node->name);  // xmlChar is UTF-8
}

void ignore_error(void*, xmlErrorPtr) {}

xmlRelaxNGPtr compile_schema() {
  std::unique_ptr<xmlRelaxNGParserCtxt, void (*)(xmlRelaxNGParserCtxtPtr)> parser(
      xmlRelaxNGNewMemParserCtxt(kDomainSchema, sizeof kDomainSchema - 1), xmlRelaxNGFreeParserCtxt);
  if (!parser) return nullptr;
  Finding finding;
  xmlRelaxNGSetParserStructuredErrors(parser.get(), collect, &finding);
  return xmlRelaxNGParse(parser.get());
}

// Compiled once and only read after that.
xmlRelaxNGPtr schema() {
  static xmlRelaxNGPtr compiled = compile_schema();
  return compiled;
}

}  // namespace

void validate_domain_schema(std::string_view xml) {
  // The limits of a hostile document first: what follows has none of its own.
  const XmlDocument limited(
      xml, "domain_definition",
      {.bytes = kMaximumDocumentBytes, .depth = kMaximumDocumentDepth, .nodes = kMaximumDocumentNodes});
  std::unique_ptr<xmlParserCtxt, void (*)(xmlParserCtxtPtr)> parser(xmlNewParserCtxt(), xmlFreeParserCtxt);
  std::unique_ptr<xmlDoc, void (*)(xmlDocPtr)> document(
      parser ? xmlCtxtReadMemory(parser.get(), xml.data(), static_cast<int>(xml.size()), "domain_definition",
                                 nullptr, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING)
             : nullptr,
      xmlFreeDoc);
  if (!document || !schema()) throw internal_error("the schema of domains cannot be applied");
  std::unique_ptr<xmlRelaxNGValidCtxt, void (*)(xmlRelaxNGValidCtxtPtr)> validator(
      xmlRelaxNGNewValidCtxt(schema()), xmlRelaxNGFreeValidCtxt);
  if (!validator) throw internal_error("the schema of domains cannot be applied");
  Finding finding;
  xmlRelaxNGSetValidStructuredErrors(validator.get(), collect, &finding);
  const int result = xmlRelaxNGValidateDoc(validator.get(), document.get());
  xmlRelaxNGSetValidStructuredErrors(validator.get(), ignore_error, nullptr);
  if (result == 0) return;
  throw Error(VIR_ERR_XML_INVALID_SCHEMA,
              fmt::format("(domain_definition):{}: element <{}>: {}", finding.line,
                          finding.element.empty() ? "domain" : finding.element,
                          finding.text.empty() ? "it does not fit the schema" : finding.text),
              VIR_FROM_XML);
}

}  // namespace warren::driver::config
