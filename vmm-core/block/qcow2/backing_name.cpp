#include "vmm-core/block/qcow2/backing_name.h"

#include <algorithm>
#include <vector>

#include "vmm-core/block/qcow2/header.h"
#include "vmm-core/block/qcow2/message.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {

// One header extension: where it begins, with its type and length, and where the next one does.
struct Extension {
  std::uint32_t type = 0, size = 0;
  std::uint64_t begin = 0, end = 0;
};

// The extensions of an image that read_header() has found good.
struct Area {
  std::vector<Extension> extensions;
  std::uint64_t end = 0;  // behind the mark of their end, where there is one
  bool has_mark = false;
};

constexpr std::uint64_t kExtensionHead = 8;

struct Bytes {
  std::vector<std::byte> cluster;
  std::uint64_t name_offset = 0, name_end = 0;  // of the backing file that is named now

  bool names(std::uint64_t begin, std::uint64_t end) const noexcept {
    return name_offset != 0 && begin < name_end && name_offset < end;
  }
};

Area read_area(const Header& header, const Bytes& bytes) {
  const std::uint64_t limit = bytes.name_offset != 0 ? bytes.name_offset : bytes.cluster.size();
  Area area{.extensions = {}, .end = header.length, .has_mark = false};
  while (area.end + kExtensionHead <= limit) {
    Extension next{.type = load<std::uint32_t>(bytes.cluster.data() + area.end),
                   .size = load<std::uint32_t>(bytes.cluster.data() + area.end + 4),
                   .begin = area.end,
                   .end = 0};
    if (next.type == kEndOfExtensions) {
      area.end += kExtensionHead;
      area.has_mark = true;
      break;
    }
    next.end = std::min(limit, round_up(next.begin + kExtensionHead + next.size, 8));
    area.end = next.end;
    area.extensions.push_back(next);
  }
  return area;
}

void put_extension(std::byte* at, std::uint32_t type, std::span<const std::byte> data) {
  std::fill_n(at, kExtensionHead + round_up(data.size(), 8), std::byte{0});
  store(at, type);
  store(at + 4, static_cast<std::uint32_t>(data.size()));
  std::ranges::copy(data, at + kExtensionHead);
}

// Changes the format where it stands. False: it does not stand in the sector, or not with this length.
bool put_format_in_place(BackingNameChange& change, const Area& area, const std::string& format) {
  if (!area.has_mark) return false;
  if (format.empty()) return true;  // "Backing file format name" of no file says nothing
  const auto found = std::ranges::find(area.extensions, kBackingFormatExtension, &Extension::type);
  if (found == area.extensions.end() || found->end > kHeaderSector ||
      round_up(found->size, 8) != round_up(format.size(), 8) ||
      std::ranges::count(area.extensions, kBackingFormatExtension, &Extension::type) != 1)
    return false;
  put_extension(change.sector.data() + found->begin, kBackingFormatExtension,
                std::as_bytes(std::span(format)));
  return true;
}

// Puts all extensions into the sector anew, but for the names of features, which every program that changes
// an image knows by itself. Returns where they end; 0: there is no room.
std::uint64_t put_all(BackingNameChange& change, const Header& header, const Area& area, const Bytes& bytes,
                      const std::string& format) {
  std::uint64_t at = header.length;
  const auto fits = [&](std::uint64_t more) { return at + more <= kHeaderSector; };
  if (!format.empty()) {
    const std::uint64_t size = kExtensionHead + round_up(format.size(), 8);
    if (!fits(size)) return 0;
    put_extension(change.sector.data() + at, kBackingFormatExtension, std::as_bytes(std::span(format)));
    at += size;
  }
  for (const Extension& each : area.extensions) {
    if (each.type == kBackingFormatExtension || each.type == kFeatureNamesExtension) continue;
    const std::uint64_t size = kExtensionHead + round_up(each.size, 8);
    if (!fits(size)) return 0;
    put_extension(change.sector.data() + at, each.type,
                  std::span(bytes.cluster).subspan(each.begin + kExtensionHead, each.size));
    at += size;
  }
  if (!fits(kExtensionHead)) return 0;
  std::fill_n(change.sector.data() + at, kExtensionHead, std::byte{0});
  return at + kExtensionHead;
}

// Where a name of that length can stand: in the sector, or behind it where nothing is that still counts. 0:
// nowhere.
std::uint64_t place_for(std::uint64_t length, std::uint64_t new_end, const Area& area, const Bytes& bytes) {
  // A name in the sector is written with it, over whatever was there.
  if (new_end + length <= kHeaderSector) return new_end;
  const std::uint64_t behind = std::max({std::uint64_t{kHeaderSector}, round_up(area.end, 8), new_end});
  for (const std::uint64_t at : {behind, std::max(behind, round_up(bytes.name_end, 8))}) {
    if (at + length <= bytes.cluster.size() && !bytes.names(at, at + length)) return at;
  }
  return 0;
}

}  // namespace

BackingNameChange plan_backing_name(HostFile& file, const std::string& name, const std::string& backing_file,
                                    const std::string& backing_format) {
  const Header header = read_header(file, name);
  Bytes bytes{.cluster = std::vector<std::byte>(header.geometry.cluster_size())};
  if (const int error = file.read_bytes(0, bytes.cluster))
    throw Error::from_errno(error, name + ": read the qcow2 header");
  bytes.name_offset = load<std::uint64_t>(bytes.cluster.data() + field::kBackingOffset);
  if (bytes.name_offset != 0)
    bytes.name_end = bytes.name_offset + load<std::uint32_t>(bytes.cluster.data() + field::kBackingSize);
  if (!backing_file.empty() && (header.autoclear & kRawExternalData) != 0)
    throw Error(std::errc::invalid_argument,
                name + ": raw external data and a backing file exclude each other");
  const Area area = read_area(header, bytes);
  BackingNameChange change;
  std::copy_n(bytes.cluster.begin(), kHeaderSector, change.sector.begin());
  std::uint64_t end = area.end;
  if (!put_format_in_place(change, area, backing_format)) {
    end = put_all(change, header, area, bytes, backing_format);
  }
  std::uint64_t place = 0;
  if (end != 0 && !backing_file.empty()) place = place_for(backing_file.size(), end, area, bytes);
  if (end == 0 || (!backing_file.empty() && place == 0) || backing_file.size() > kMaximumBackingName)
    throw Error(std::errc::filename_too_long,
                message(name, ": its header of ", bytes.cluster.size(),
                        " bytes has no room to change the name of its backing file to one of ",
                        backing_file.size(), " bytes"));
  store(change.sector.data() + field::kBackingOffset, place);
  store(change.sector.data() + field::kBackingSize, static_cast<std::uint32_t>(backing_file.size()));
  if (place >= kHeaderSector) {
    change.outside = place;
  } else if (place != 0) {
    std::ranges::copy(std::as_bytes(std::span(backing_file)),
                      change.sector.begin() + static_cast<std::ptrdiff_t>(place));
  }
  return change;
}

void write_backing_name(HostFile& file, const std::string& name, const std::string& backing_file,
                        const std::string& backing_format) {
  const BackingNameChange change = plan_backing_name(file, name, backing_file, backing_format);
  int error = 0;
  if (change.outside) {
    error = file.write_bytes(*change.outside, std::as_bytes(std::span(backing_file)));
    if (error == 0) error = file.sync();
  }
  if (error == 0) error = file.write_bytes(0, change.sector);
  if (error == 0) error = file.sync();
  if (error != 0) throw Error::from_errno(error, name + ": write the backing file's name");
}

}  // namespace warren::vmm::block::qcow2
