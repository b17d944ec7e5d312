// What the first bytes of an image say of it.
//
// Pure functions on hostile bytes, for the helper that looks at a pool's images and for the daemon that opens
// a disk's. Nobody asks what an image is that a guest may have written: it is taken for what it was declared
// to be (declared_format.h). Formats: QEMU's docs/interop/qcow2.txt and qed_spec.txt; VMware's Virtual Disk
// Format 5.0; Microsoft's VHD specification; ECMA-119 §8.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace warren::driver::store {

// Of the file's start: what every signature lies in, and the largest header that is read.
inline constexpr std::size_t kHeaderBytes = 0x8200;

struct ImageHeader {
  std::string format = "raw";  // one of kImageFormats
  std::uint64_t capacity = 0;  // 0: the size of the file
  std::string encryption;      // "luks", "qcow"; empty: none
  bool is_backed = false;      // of qcow, qcow2, qed: a backing file is named, in whatever way
  std::string backing_path;    // as it stands there; empty: none, or what is no text
  std::string backing_format;  // likewise
  std::string compatibility;   // of qcow2
  std::uint64_t cluster_bytes = 0;
  std::optional<std::vector<std::string>> features;
  bool has_data_file = false;  // of qcow2: its data is in another file
  std::string data_file;       // whose name it may not know
  // Why what a qcow2 header says cannot be relied on; empty: it can. What is to be shown is shown all the
  // same.
  std::string defect;
};

// Of the format that the bytes themselves claim.
ImageHeader probe_header(std::span<const std::byte> start);
// Of a declared format, whatever else they claim. A header that is none of it has nothing but the format, and
// that as its defect.
ImageHeader read_header(std::string_view format, std::span<const std::byte> start);

bool is_utf8(std::string_view text) noexcept;

}  // namespace warren::driver::store
