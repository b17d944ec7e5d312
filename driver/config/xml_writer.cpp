#include "driver/config/xml_writer.h"

namespace warren::driver::config {

namespace {

// White space in an attribute would be read back as blanks (XML 1.0 §3.3.3), a carriage return in text as a
// line feed (§2.11): they are written as references.
void escape(std::string_view text, std::string_view referenced, std::string& out) {
  std::size_t done = 0;
  while (done < text.size()) {
    const std::size_t next = text.find_first_of(referenced, done);
    out.append(text.substr(done, next - done));
    if (next == std::string_view::npos) return;
    switch (text[next]) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&apos;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\t':
        out += "&#9;";
        break;
      case '\n':
        out += "&#10;";
        break;
      default:
        out += "&#13;";
    }
    done = next + 1;
  }
}

}  // namespace

void XmlWriter::escape_text(std::string_view text, std::string& out) {
  escape(text, "&<>'\"\r", out);
}
void XmlWriter::escape_attribute(std::string_view text, std::string& out) {
  escape(text, "&<>'\"\t\n\r", out);
}

void XmlWriter::close_tag() {
  if (!tag_open_) return;
  out_ += ">\n";
  tag_open_ = false;
}

void XmlWriter::begin(std::string_view name) {
  close_tag();
  indent(open_.size());
  out_ += '<';
  out_ += name;
  open_.emplace_back(name);
  tag_open_ = true;
}

void XmlWriter::attribute(std::string_view name, std::string_view value) {
  out_ += ' ';
  out_ += name;
  out_ += "='";
  escape_attribute(value, out_);
  out_ += '\'';
}

void XmlWriter::text(std::string_view text) {
  if (text.empty()) return;
  if (tag_open_) out_ += '>';
  tag_open_ = false;
  text_inside_ = true;
  escape_text(text, out_);
}

void XmlWriter::end() {
  if (tag_open_) {
    out_ += "/>\n";
    tag_open_ = false;
  } else {
    if (!text_inside_) indent(open_.size() - 1);
    out_ += "</";
    out_ += open_.back();
    out_ += ">\n";
  }
  text_inside_ = false;
  open_.pop_back();
}

void XmlWriter::element(std::string_view name, std::string_view content) {
  begin(name);
  text(content);
  end();
}

void XmlWriter::verbatim(std::string_view markup) {
  close_tag();
  indent(open_.size());
  out_ += markup;
  out_ += '\n';
}

}  // namespace warren::driver::config
