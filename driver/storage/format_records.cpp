#include "driver/storage/format_records.h"

#include "driver/config/xml_tree.h"
#include "driver/config/xml_values.h"
#include "driver/config/xml_writer.h"

namespace warren::driver::storage {

bool FormatRecords::set(const std::string& path, const std::string& format) {
  const auto found = formats_.find(path);
  if (found != formats_.end() && found->second == format) return false;
  if (found == formats_.end() && formats_.size() >= kMost) return false;
  formats_[path] = format;
  return true;
}

bool FormatRecords::forget(const std::string& path) {
  return formats_.erase(path) > 0;
}

std::vector<NamedValue> FormatRecords::below(const std::string& directory) const {
  std::vector<NamedValue> found;
  const std::string prefix = directory + "/";
  for (auto at = formats_.lower_bound(prefix); at != formats_.end() && at->first.starts_with(prefix); ++at)
    found.push_back({at->first, at->second});
  return found;
}

std::string FormatRecords::format() const {
  config::XmlWriter writer(formats_.size() * 100 + 100);
  writer.begin("formats");
  for (const auto& [path, format] : formats_) {
    writer.begin("image");
    writer.attribute("path", path);
    writer.attribute("format", format);
    writer.end();
  }
  writer.end();
  return writer.take();
}

void FormatRecords::parse(std::string_view xml) {
  config::XmlDocument document(xml, "image_formats", {.bytes = 64u << 20, .depth = 3, .nodes = 4 * kMost});
  for (config::XmlElement* image : document.root().children("image"))
    set(config::require_text(*image, "path"), config::require_text(*image, "format"));
}

}  // namespace warren::driver::storage
