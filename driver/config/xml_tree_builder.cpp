// libxml2's SAX2 events to XmlDocument, with the limits of a hostile document.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#include "driver/config/xml_tree.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::config {

namespace {

std::string_view view(const xmlChar* text) {
  return text ? std::string_view(reinterpret_cast<const char*>(text))
              : std::string_view();  // xmlChar is UTF-8
}

std::string qualified(std::string_view prefix, std::string_view name) {
  return prefix.empty() ? std::string(name) : fmt::format("{}:{}", prefix, name);
}

std::string one_line(const char* message) {
  std::string text = message ? message : "unknown error";
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

struct Namespaces {
  std::vector<std::pair<std::string, std::string>> bindings;  // prefix to URI, innermost last

  std::string_view find(std::string_view prefix) const {
    for (auto it = bindings.rbegin(); it != bindings.rend(); ++it)
      if (it->first == prefix) return it->second;
    return {};
  }
};

}  // namespace

class XmlTreeBuilder {
 public:
  XmlTreeBuilder(XmlDocument& document, std::string_view what, const XmlLimits& limits)
      : document_(document), what_(what), limits_(limits) {}

  void parse(std::string_view xml);

  void start_element(std::string_view name, std::string_view prefix, std::string_view uri, int namespaces,
                     const xmlChar** declared, int attributes, const xmlChar** values);
  void end_element(std::string_view name, std::string_view prefix);
  void characters(std::string_view text);
  void comment(std::string_view text);
  void document_type();
  void error(const xmlError& error);

 private:
  bool stopped() const { return failure_.has_value(); }
  int line() const { return context_->input ? context_->input->line : 0; }
  void stop(Error failure);
  bool count(std::size_t nodes);
  std::string_view keep(std::string_view text);
  bool in_metadata() const {
    return stack_.size() == 2 && stack_[1]->name() == "metadata" &&
           (stack_[0]->name() == "domain" || stack_[0]->name() == "network");
  }
  void capture_start(std::string_view name, std::string_view prefix, std::string_view uri, int namespaces,
                     const xmlChar** declared, int attributes, const xmlChar** values);
  void capture_declaration(std::string_view prefix, std::string_view uri);
  void capture_close_tag();

  XmlDocument& document_;
  std::string_view what_;
  XmlLimits limits_;
  xmlParserCtxtPtr context_ = nullptr;
  std::vector<XmlElement*> stack_;
  std::size_t depth_ = 0;
  std::size_t nodes_ = 0;
  std::optional<Error> failure_;

  // Below <metadata>: the element being copied as text.
  std::size_t capture_depth_ = 0;
  bool capture_tag_open_ = false;
  std::string captured_;
  std::string captured_uri_;
  std::size_t captured_declarations_ = 0;
  Namespaces scope_;
  std::vector<std::size_t> scope_marks_;
};

namespace {

XmlTreeBuilder& builder(void* context) {
  return *static_cast<XmlTreeBuilder*>(context);
}

void on_start(void* context, const xmlChar* name, const xmlChar* prefix, const xmlChar* uri, int namespaces,
              const xmlChar** declared, int attributes, int, const xmlChar** values) {
  builder(context).start_element(view(name), view(prefix), view(uri), namespaces, declared, attributes,
                                 values);
}

void on_end(void* context, const xmlChar* name, const xmlChar* prefix, const xmlChar*) {
  builder(context).end_element(view(name), view(prefix));
}

void on_characters(void* context, const xmlChar* text, int length) {
  builder(context).characters(std::string_view(reinterpret_cast<const char*>(text),  // xmlChar is UTF-8
                                               static_cast<std::size_t>(length)));
}

void on_comment(void* context, const xmlChar* text) {
  builder(context).comment(view(text));
}

void on_document_type(void* context, const xmlChar*, const xmlChar*, const xmlChar*) {
  builder(context).document_type();
}

void on_error(void* context, xmlErrorPtr error) {
  if (error) builder(context).error(*error);
}

xmlSAXHandler handler() {
  xmlSAXHandler sax{};
  sax.initialized = XML_SAX2_MAGIC;
  sax.startElementNs = on_start;
  sax.endElementNs = on_end;
  sax.characters = on_characters;
  sax.ignorableWhitespace = on_characters;
  sax.cdataBlock = on_characters;
  sax.comment = on_comment;
  sax.internalSubset = on_document_type;
  sax.serror = on_error;
  return sax;
}

}  // namespace

void XmlTreeBuilder::parse(std::string_view xml) {
  if (xml.size() > limits_.bytes) {
    throw xml_error(fmt::format("({})", what_), 0,
                    fmt::format("the document has {} bytes, more than {}", xml.size(), limits_.bytes));
  }
  static const bool initialized = (xmlInitParser(), true);
  static_cast<void>(initialized);
  static xmlSAXHandler sax = handler();
  std::unique_ptr<xmlParserCtxt, void (*)(xmlParserCtxtPtr)> context(
      xmlCreateMemoryParserCtxt(xml.data(), static_cast<int>(xml.size())), [](xmlParserCtxtPtr pointer) {
        pointer->sax = nullptr;  // ours, not to be freed
        xmlFreeParserCtxt(pointer);
      });
  // libxml2 makes no context for an empty document.
  if (!context) throw Error(VIR_ERR_XML_DETAIL, fmt::format("({}):1: the document is empty", what_));
  xmlFree(context->sax);
  context->sax = &sax;
  context->userData = this;
  // Predefined entities and character references replaced in attributes; no entity can be declared.
  context->replaceEntities = 1;
  context->options = XML_PARSE_NONET | XML_PARSE_NOENT;
  context_ = context.get();
  xmlParseDocument(context_);
  if (failure_) throw Error(*failure_);
  if (!context->wellFormed || !document_.root_)
    throw Error(VIR_ERR_XML_DETAIL, fmt::format("({}):1: the document is not well-formed", what_));
}

void XmlTreeBuilder::stop(Error failure) {
  if (!failure_) failure_ = std::move(failure);
  xmlStopParser(context_);
}

void XmlTreeBuilder::error(const xmlError& error) {
  if (stopped() || error.level < XML_ERR_ERROR) return;
  // An undeclared prefix is reported as a namespace error and leaves the document well-formed; it is not.
  stop(Error(VIR_ERR_XML_DETAIL, fmt::format("({}):{}: {}", what_, error.line, one_line(error.message))));
}

void XmlTreeBuilder::document_type() {
  stop(xml_error(fmt::format("({})", what_), line(), "a document type (<!DOCTYPE>) is not accepted"));
}

bool XmlTreeBuilder::count(std::size_t nodes) {
  nodes_ += nodes;
  if (nodes_ <= limits_.nodes) return true;
  stop(xml_error(fmt::format("({})", what_), line(),
                 fmt::format("the document has more than {} elements and attributes", limits_.nodes)));
  return false;
}

std::string_view XmlTreeBuilder::keep(std::string_view text) {
  if (text.empty()) return {};
  char* copy = static_cast<char*>(document_.memory_.allocate(text.size(), 1));
  std::memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

void XmlTreeBuilder::start_element(std::string_view name, std::string_view prefix, std::string_view uri,
                                   int namespaces, const xmlChar** declared, int attributes,
                                   const xmlChar** values) {
  if (stopped()) return;
  if (++depth_ > limits_.depth) {
    return stop(xml_error(fmt::format("({})", what_), line(),
                          fmt::format("elements are nested deeper than {}", limits_.depth)));
  }
  if (!count(1 + static_cast<std::size_t>(attributes) + static_cast<std::size_t>(namespaces))) return;
  if (capture_depth_ > 0 || in_metadata())
    return capture_start(name, prefix, uri, namespaces, declared, attributes, values);

  XmlElement* parent = stack_.empty() ? nullptr : stack_.back();
  XmlElement& element = document_.elements_.emplace_back(keep(qualified(prefix, name)), line(), parent);
  element.attributes_.reserve(static_cast<std::size_t>(attributes));
  for (std::ptrdiff_t i = 0; i < attributes; ++i) {
    const xmlChar** field = values + 5 * i;  // localname, prefix, URI, value, end
    const auto length = static_cast<std::size_t>(field[4] - field[3]);
    element.attributes_.push_back(
        {keep(qualified(view(field[1]), view(field[0]))),
         keep(std::string_view(reinterpret_cast<const char*>(field[3]), length))});  // xmlChar is UTF-8
  }
  if (parent) {
    parent->children_.push_back(&element);
  } else {
    document_.root_ = &element;
    element.read_ = true;
  }
  stack_.push_back(&element);
}

void XmlTreeBuilder::end_element(std::string_view name, std::string_view prefix) {
  if (stopped()) return;
  --depth_;
  if (capture_depth_ == 0) {
    stack_.pop_back();
    return;
  }
  if (capture_tag_open_) {
    captured_ += "/>";
    capture_tag_open_ = false;
  } else {
    captured_ += fmt::format("</{}>", qualified(prefix, name));
  }
  scope_.bindings.resize(scope_marks_.back());
  scope_marks_.pop_back();
  if (--capture_depth_ == 0)
    document_.metadata_.push_back({std::exchange(captured_uri_, {}), std::exchange(captured_, {})});
}

void XmlTreeBuilder::characters(std::string_view text) {
  if (stopped()) return;
  if (capture_depth_ > 0) {
    capture_close_tag();
    XmlWriter::escape_text(text, captured_);
  } else if (!stack_.empty()) {
    stack_.back()->text_ += text;
  }
}

void XmlTreeBuilder::comment(std::string_view text) {
  if (stopped() || capture_depth_ == 0 || !count(1)) return;
  capture_close_tag();
  captured_ += fmt::format("<!--{}-->", text);
}

void XmlTreeBuilder::capture_close_tag() {
  if (std::exchange(capture_tag_open_, false)) captured_ += '>';
}

void XmlTreeBuilder::capture_declaration(std::string_view prefix, std::string_view uri) {
  // A long name declared once above <metadata> must not be multiplied by the elements that use it.
  captured_declarations_ += uri.size();
  if (captured_declarations_ > limits_.bytes) {
    return stop(
        xml_error(fmt::format("({})", what_), line(), "the namespaces used in <metadata> are too long"));
  }
  captured_ += prefix.empty() ? " xmlns='" : fmt::format(" xmlns:{}='", prefix);
  XmlWriter::escape_attribute(uri, captured_);
  captured_ += '\'';
  scope_.bindings.emplace_back(prefix, uri);
}

void XmlTreeBuilder::capture_start(std::string_view name, std::string_view prefix, std::string_view uri,
                                   int namespaces, const xmlChar** declared, int attributes,
                                   const xmlChar** values) {
  if (capture_depth_++ == 0) captured_uri_ = uri;
  capture_close_tag();
  capture_tag_open_ = true;
  scope_marks_.push_back(scope_.bindings.size());
  captured_ += '<';
  captured_ += qualified(prefix, name);
  for (std::ptrdiff_t i = 0; i < namespaces; ++i)
    capture_declaration(view(declared[2 * i]), view(declared[2 * i + 1]));
  // A prefix that was declared above <metadata> is declared again: the text has to stand alone.
  if (scope_.find(prefix) != uri) capture_declaration(prefix, uri);
  std::string text;
  for (std::ptrdiff_t i = 0; i < attributes; ++i) {
    const xmlChar** field = values + 5 * i;  // localname, prefix, URI, value, end
    const std::string_view attribute_prefix = view(field[1]);
    if (!attribute_prefix.empty() && attribute_prefix != "xml" &&
        scope_.find(attribute_prefix) != view(field[2]))
      capture_declaration(attribute_prefix, view(field[2]));
    text += fmt::format(" {}='", qualified(attribute_prefix, view(field[0])));
    XmlWriter::escape_attribute(std::string_view(reinterpret_cast<const char*>(field[3]),  // xmlChar is UTF-8
                                                 static_cast<std::size_t>(field[4] - field[3])),
                                text);
    text += '\'';
  }
  captured_ += text;
}

XmlDocument::XmlDocument(std::string_view xml, std::string_view what, const XmlLimits& limits) {
  XmlTreeBuilder(*this, what, limits).parse(xml);
}

}  // namespace warren::driver::config
