// The declared formats of images that cannot carry their mark (store/declared_format.h), by path.
//
// The loop's thread; the document is what is kept of it on disk.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "driver/storage/pool_definition.h"

namespace warren::driver::storage {

class FormatRecords {
 public:
  // True if that is news. Beyond kMost there is no place for more.
  bool set(const std::string& path, const std::string& format);
  bool forget(const std::string& path);
  // Of what lies below a directory.
  std::vector<NamedValue> below(const std::string& directory) const;

  std::string format() const;
  // Adds what a document says. Throws driver::Error.
  void parse(std::string_view xml);

 private:
  static constexpr std::size_t kMost = 100'000;
  std::map<std::string, std::string> formats_;
};

}  // namespace warren::driver::storage
