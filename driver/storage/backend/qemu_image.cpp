#include "driver/storage/backend/qemu_image.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/storage/backend/backend.h"
#include "driver/tool/tool.h"

namespace warren::driver::storage::backend {

namespace {

std::uint64_t used_bytes(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * 512 : 0;
}

// An option's value: its commas are doubled (qemu-img(1), "-o").
std::string escaped(const std::string& value) {
  std::string text;
  for (const char c : value) text.append(c == ',' ? 2 : 1, c);
  return text;
}

void check_options(const VolumeDefinition& wanted, bool preallocate) {
  const Image& target = wanted.target;
  if (!target.encryption.empty()) {
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED,
                        "Warren does not make encrypted volumes: encrypt within the guest, or make the image "
                        "with qemu-img and refresh the pool");
  }
  const bool is_qcow2 = target.format == "qcow2";
  if (preallocate && !is_qcow2) {
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED, "metadata preallocation only available with qcow2");
  }
  if (preallocate && wanted.backing) {
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED, "metadata preallocation conflicts with backing store");
  }
  const bool has_qcow2_options = !target.compatibility.empty() || target.features || target.cluster_bytes > 0;
  if (has_qcow2_options && !is_qcow2) {
    throw storage_error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("<compat>, <features> and <clusterSize> are of qcow2, not of {}", target.format));
  }
  if (target.compatibility == "0.10" && target.features && !target.features->empty()) {
    throw storage_error(
        VIR_ERR_CONFIG_UNSUPPORTED,
        fmt::format("feature {} only supported with compat level 1.1", target.features->front()));
  }
  if (target.format == "dir" || target.format == "none" || target.format == "iso") {
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED,
                        fmt::format("cannot create an image of format '{}'", target.format));
  }
}

std::vector<std::string> creation_options(const VolumeDefinition& wanted, std::uint32_t flags) {
  const bool preallocate = (flags & VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA) != 0;
  check_options(wanted, preallocate);
  const Image& target = wanted.target;
  std::vector<std::string> options;
  if (wanted.backing && !wanted.backing->format.empty())
    options.push_back("backing_fmt=" + wanted.backing->format);
  if (preallocate) {
    options.push_back(wanted.allocation < wanted.capacity ? "preallocation=metadata"
                                                          : "preallocation=falloc");
  }
  if (target.no_cow) options.emplace_back("nocow=on");
  if (!target.compatibility.empty()) options.push_back("compat=" + target.compatibility);
  if (target.cluster_bytes > 0) options.push_back(fmt::format("cluster_size={}", target.cluster_bytes));
  for (const std::string& feature : target.features.value_or(std::vector<std::string>{}))
    options.push_back(feature + "=on");
  return options;
}

void check_backing(const std::string& path) {
  // Relative ones mean a place beside the image, and what has a colon first a protocol to qemu-img.
  if (!path.starts_with('/')) {
    throw storage_error(VIR_ERR_CONFIG_UNSUPPORTED,
                        fmt::format("backing store '{}' is to be named by its absolute path", path));
  }
  if (::access(path.c_str(), R_OK) != 0)
    throw host_error(errno, fmt::format("inaccessible backing store volume {}", path));
}

Tool qemu_img(std::vector<std::string> arguments) {
  return {.name = "qemu-img", .arguments = std::move(arguments)};
}

}  // namespace

void create_image(const std::string& path, const VolumeDefinition& wanted, std::uint32_t flags,
                  Reporter& reporter) {
  const std::vector<std::string> options = creation_options(wanted, flags);
  std::vector<std::string> arguments{"create", "-q", "-f",
                                     wanted.target.format == "iso" ? "raw" : wanted.target.format};
  if (wanted.backing) {
    check_backing(wanted.backing->path);
    arguments.insert(arguments.end(), {"-b", wanted.backing->path});
  }
  if (!options.empty()) arguments.insert(arguments.end(), {"-o", fmt::format("{}", fmt::join(options, ","))});
  arguments.push_back(path);
  // Without a capacity it is that of the backing image.
  if (wanted.capacity > 0 || !wanted.backing) arguments.push_back(std::to_string(wanted.capacity));
  Tool tool = qemu_img(std::move(arguments));
  tool.tick = [&] {
    reporter.progress(used_bytes(path));
    return true;
  };
  require_tool(tool);
}

void convert_image(const Conversion& conversion, const VolumeDefinition& wanted, std::uint32_t flags,
                   Reporter& reporter) {
  std::vector<std::string> arguments{"convert", "-q",
                                     "-f",      conversion.source_format,
                                     "-O",      wanted.target.format.empty() ? "raw" : wanted.target.format};
  if (conversion.target_exists) {
    arguments.emplace_back("-n");
  } else {
    const std::vector<std::string> options = creation_options(wanted, flags);
    if (!options.empty())
      arguments.insert(arguments.end(), {"-o", fmt::format("{}", fmt::join(options, ","))});
    if (wanted.backing) {
      check_backing(wanted.backing->path);
      arguments.insert(arguments.end(), {"-B", escaped(wanted.backing->path)});
    }
  }
  arguments.insert(arguments.end(), {conversion.source, conversion.target});
  Tool tool = qemu_img(std::move(arguments));
  tool.tick = [&] {
    reporter.progress(used_bytes(conversion.target));
    return true;
  };
  require_tool(tool);
}

void resize_image(const std::string& path, const std::string& format, std::uint64_t capacity, bool shrink) {
  std::vector<std::string> arguments{"resize", "-q", "-f", format};
  if (shrink) arguments.emplace_back("--shrink");
  arguments.insert(arguments.end(), {path, std::to_string(capacity)});
  require_tool(qemu_img(std::move(arguments)));
}

}  // namespace warren::driver::storage::backend
