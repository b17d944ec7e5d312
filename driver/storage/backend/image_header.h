// What the first bytes of an image say of it.
//
// Pure functions on hostile bytes. Used on images that the host owns: what a guest may have written is taken
// for what it was declared to be (format_mark.h), and then only its size is read from its header.
// Formats: QEMU's docs/interop/qcow2.txt and qed_spec.txt; VMware's Virtual Disk Format 5.0; Microsoft's VHD
// specification; ECMA-119 §8.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace warren::driver::storage::backend {

// Of the file's start.
inline constexpr std::size_t kHeaderBytes = 0x8200;

struct ImageHeader {
  std::string format = "raw";  // one of kImageFormats
  std::uint64_t capacity = 0;  // 0: the size of the file
  std::string encryption;      // "luks", "qcow"; empty: none
  std::string backing_path;    // as it stands there; empty: none
  std::string backing_format;  // likewise
  std::string compatibility;   // of qcow2
  std::uint64_t cluster_bytes = 0;
  std::optional<std::vector<std::string>> features;
};

// Of the format that the bytes themselves claim.
ImageHeader probe_header(std::span<const std::byte> start);
// Of a declared format, whatever else they claim. A header that is none of it has nothing but the format.
ImageHeader read_header(std::string_view format, std::span<const std::byte> start);

bool is_utf8(std::string_view text) noexcept;

}  // namespace warren::driver::storage::backend
