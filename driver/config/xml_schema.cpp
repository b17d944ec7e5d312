#include "driver/config/xml_schema.h"

#include <map>
#include <memory>
#include <mutex>

#include <fmt/format.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>

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

using Schema = std::unique_ptr<xmlRelaxNG, void (*)(xmlRelaxNGPtr)>;

Schema compile_schema(const XmlGrammar& grammar) {
  std::unique_ptr<xmlRelaxNGParserCtxt, void (*)(xmlRelaxNGParserCtxtPtr)> parser(
      xmlRelaxNGNewMemParserCtxt(grammar.text.data(), static_cast<int>(grammar.text.size())),
      xmlRelaxNGFreeParserCtxt);
  if (!parser) return {nullptr, xmlRelaxNGFree};
  Finding finding;
  xmlRelaxNGSetParserStructuredErrors(parser.get(), collect, &finding);
  return {xmlRelaxNGParse(parser.get()), xmlRelaxNGFree};
}

// Each is compiled once, and only read after that.
xmlRelaxNGPtr schema(const XmlGrammar& grammar) {
  static std::mutex mutex;
  static std::map<const char*, Schema> compiled;
  std::lock_guard lock(mutex);
  const auto [place, is_new] = compiled.try_emplace(grammar.text.data(), nullptr, xmlRelaxNGFree);
  if (is_new) place->second = compile_schema(grammar);
  return place->second.get();
}

}  // namespace

void validate_against(const XmlGrammar& grammar, std::string_view xml, const XmlLimits& limits) {
  // The limits of a hostile document first: what follows has none of its own.
  const XmlDocument limited(xml, grammar.document, limits);
  std::unique_ptr<xmlParserCtxt, void (*)(xmlParserCtxtPtr)> parser(xmlNewParserCtxt(), xmlFreeParserCtxt);
  std::unique_ptr<xmlDoc, void (*)(xmlDocPtr)> document(
      parser ? xmlCtxtReadMemory(parser.get(), xml.data(), static_cast<int>(xml.size()), "document", nullptr,
                                 XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING)
             : nullptr,
      xmlFreeDoc);
  const xmlRelaxNGPtr compiled = schema(grammar);
  std::unique_ptr<xmlRelaxNGValidCtxt, void (*)(xmlRelaxNGValidCtxtPtr)> validator(
      compiled ? xmlRelaxNGNewValidCtxt(compiled) : nullptr, xmlRelaxNGFreeValidCtxt);
  if (!document || !validator)
    throw internal_error(fmt::format("the schema of <{}> cannot be applied", grammar.root));
  Finding finding;
  xmlRelaxNGSetValidStructuredErrors(validator.get(), collect, &finding);
  const int result = xmlRelaxNGValidateDoc(validator.get(), document.get());
  xmlRelaxNGSetValidStructuredErrors(validator.get(), ignore_error, nullptr);
  if (result == 0) return;
  throw Error(VIR_ERR_XML_INVALID_SCHEMA,
              fmt::format("({}):{}: element <{}>: {}", grammar.document, finding.line,
                          finding.element.empty() ? grammar.root : finding.element,
                          finding.text.empty() ? "it does not fit the schema" : finding.text),
              VIR_FROM_XML);
}

}  // namespace warren::driver::config
