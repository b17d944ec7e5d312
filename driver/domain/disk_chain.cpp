#include "driver/domain/disk_chain.h"

#include <cerrno>
#include <optional>
#include <set>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {
namespace {

using config::BackingImage;
using config::DiskFormat;

[[noreturn]] void refuse(const std::string& what) {
  throw Error(VIR_ERR_OPERATION_INVALID, what);
}

class ChainOpener {
 public:
  explicit ChainOpener(const config::Disk& disk) : disk_(disk) {}

  ChainImage reopen(const BackingImage& image) {
    config::Disk writer = reader_of(image);
    writer.read_only = false;
    opens_again_ = true;
    add(reopen_disk_image(writer), image, writer);
    return std::move(chain_.front());
  }

  std::vector<ChainImage> open(const DescriptorGroupMap& groups) {
    BackingImage top{.source_type = disk_.source_type,
                     .format = disk_.driver.format.value_or(DiskFormat::raw),
                     .source = disk_.source,
                     .server = disk_.server,
                     .source_index = disk_.source_index};
    add(open_disk_image(disk_, groups), std::move(top), disk_);
    while (std::optional<BackingImage> next = below()) {
      if (chain_.size() > config::kMaximumBackingImages)
        refuse(fmt::format("the backing chain of '{}' has more than {} images", disk_.source,
                           config::kMaximumBackingImages + 1));
      expect_new(next->source);  // before its lock, which this chain may be in the way of
      const config::Disk reader = reader_of(*next);
      add(open_disk_image(reader), std::move(*next), reader);
    }
    return std::move(chain_);
  }

 private:
  // An image of the chain is opened and locked as a disk that is only read.
  config::Disk reader_of(const BackingImage& image) const {
    config::Disk reader = disk_;
    reader.source = image.source;
    reader.source_type = image.source_type;
    reader.server = image.server;
    reader.descriptor_group.clear();
    reader.driver.format = image.format;
    reader.read_only = true;
    reader.shareable = false;  // that is the disk's own image
    return reader;
  }

  void add(DiskImage image, BackingImage description, const config::Disk& opened_as) {
    note(image.file, description.source);
    ChainImage link{
        .image = std::move(image), .description = std::move(description), .data = {}, .data_path = {}};
    header_.reset();
    if (link.description.format == DiskFormat::qcow2) {
      header_ = read_image_header(link.image.file, link.description.source);
      if (header_->has_data_file) {
        config::Disk data = opened_as;
        data.driver.format = DiskFormat::raw;
        data.source = beside(link.description.source, header_->data_file);
        expect_new(data.source);
        link.data = opens_again_ ? reopen_disk_image(data) : open_disk_image(data);
        link.data_path = data.source;
        note(link.data.file, data.source);
      }
    }
    chain_.push_back(std::move(link));
  }

  // What the definition declares, or else the header of the image above.
  std::optional<BackingImage> below() const {
    const std::size_t declared = chain_.size() - 1;
    if (declared < disk_.backing.size()) return disk_.backing[declared];
    if (disk_.backing_store_end || !header_ || header_->backing_path.empty()) return std::nullopt;
    const std::string& image = chain_.back().description.source;
    BackingImage next{.format = format_of(image), .source = beside(image, header_->backing_path)};
    struct stat status{};
    if (::stat(next.source.c_str(), &status) == 0 && S_ISBLK(status.st_mode))
      next.source_type = config::DiskSourceType::block;
    return next;
  }

  DiskFormat format_of(const std::string& image) const {
    if (header_->backing_format == "raw") return DiskFormat::raw;
    if (header_->backing_format == "qcow2") return DiskFormat::qcow2;
    if (header_->backing_format.empty()) {
      refuse(
          fmt::format("format of backing image '{}' of image '{}' was not specified in the image metadata "
                      "(qemu-img rebase -u -F FORMAT writes it there)",
                      header_->backing_path, image));
    }
    throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                fmt::format("backing image '{}' of image '{}' has format '{}', which Warren does not read "
                            "(qemu-img convert makes raw or qcow2 of it)",
                            header_->backing_path, image, header_->backing_format));
  }

  // A name in a header is a path, which may be relative to the image that has it.
  static std::string beside(const std::string& image, const std::string& name) {
    std::string path = name.starts_with("file:") && !name.starts_with("file://") ? name.substr(5) : name;
    if (path.empty() || name.starts_with("json:") || name.find("://") != std::string::npos) {
      throw Error(VIR_ERR_CONFIG_UNSUPPORTED,
                  fmt::format("image '{}' refers to '{}', which is not the path of a file", image, name));
    }
    if (path.front() == '/') return path;
    return image.substr(0, image.rfind('/') + 1) + path;
  }

  using Identity = std::pair<dev_t, ino_t>;
  static Identity identity_of(const struct stat& status) {
    return S_ISBLK(status.st_mode) ? Identity{status.st_rdev, 0} : Identity{status.st_dev, status.st_ino};
  }
  [[noreturn]] void refuse_twice(const std::string& path) const {
    refuse(fmt::format("the backing chain of '{}' contains '{}' twice", disk_.source, path));
  }
  void expect_new(const std::string& path) const {
    struct stat status{};
    if (::stat(path.c_str(), &status) == 0 && seen_.contains(identity_of(status))) refuse_twice(path);
  }
  void note(const vmm::FileDescriptor& file, const std::string& path) {
    struct stat status{};
    if (::fstat(file.get(), &status) == 0 && !seen_.insert(identity_of(status)).second) refuse_twice(path);
  }

  const config::Disk& disk_;
  bool opens_again_ = false;
  std::vector<ChainImage> chain_;
  std::optional<store::ImageHeader> header_;  // of the last, when that is qcow2
  std::set<Identity> seen_;
};

}  // namespace

std::vector<ChainImage> open_disk_chain(const config::Disk& disk, const DescriptorGroupMap& groups) {
  return ChainOpener(disk).open(groups);
}

ChainImage reopen_chain_image(const config::Disk& disk, const BackingImage& image) {
  return ChainOpener(disk).reopen(image);
}

std::string relative_backing_name(const config::Disk& disk, std::uint32_t overlay, std::uint32_t base) {
  std::string name;
  for (std::uint32_t place = overlay; place < base; ++place) {
    const std::string& path = place == 0 ? disk.source : disk.backing.at(place - 1).source;
    // Only its header is looked at, which its worker may write in the meantime: a torn one is no qcow2
    // header.
    const vmm::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!file) throw system_error(errno, fmt::format("cannot open '{}'", path));
    const std::string next = read_image_header(file, path).backing_path;
    if (next.empty() || next.front() == '/' || next.find(':') != std::string::npos)
      refuse("can't keep relative backing relationship");
    name += place + 1 == base ? next : next.substr(0, next.rfind('/') + 1);
  }
  return name;
}

std::vector<BackingImage> backing_of(const std::vector<ChainImage>& chain) {
  std::vector<BackingImage> backing;
  for (std::size_t i = 1; i < chain.size(); ++i) backing.push_back(chain[i].description);
  return backing;
}

}  // namespace warren::driver::domain
