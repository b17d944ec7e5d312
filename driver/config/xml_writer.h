// Writes XML as libvirt does: two blanks for each level, attributes in single quotes.
//
// Tag and attribute names are the caller's literals; values are escaped. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace warren::driver::config {

class XmlWriter {
 public:
  explicit XmlWriter(std::size_t expected_bytes = 4096) { out_.reserve(expected_bytes); }

  // Begins an element; attributes may follow at once, then children or text, then end().
  void begin(std::string_view name);
  void attribute(std::string_view name, std::string_view value);
  template <typename Integer>
    requires std::is_integral_v<Integer>
  void attribute(std::string_view name, Integer value) {
    attribute(name, std::string_view(fmt::format_int(value).c_str()));
  }
  void text(std::string_view text);
  // Ends the start tag: without children the element then gets an end tag of its own, not <name/>.
  void content() { close_tag(); }
  void end();

  // <name/>
  void empty(std::string_view name) {
    begin(name);
    end();
  }
  // <name>text</name>
  void element(std::string_view name, std::string_view text);
  // Markup that is complete, on lines of its own; its own line breaks stay.
  void verbatim(std::string_view markup);
  // An empty line.
  void blank_line() {
    close_tag();
    out_ += '\n';
  }

  std::string take() { return std::move(out_); }

  // What is not an XML character (XML 1.0 §2.2) cannot come from a parsed document and must not be passed.
  static void escape_text(std::string_view text, std::string& out);
  static void escape_attribute(std::string_view text, std::string& out);

 private:
  void close_tag();
  void indent(std::size_t depth) { out_.append(2 * depth, ' '); }

  std::string out_;
  std::vector<std::string> open_;
  bool tag_open_ = false;     // ">" is still to come
  bool text_inside_ = false;  // the innermost element has text: its end tag follows it at once
};

}  // namespace warren::driver::config
