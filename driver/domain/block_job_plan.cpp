#include "driver/domain/block_job_plan.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "driver/config/domain_xml.h"
#include "driver/config/xml_values.h"
#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace {

using config::BackingImage;
using config::Disk;

// The number in "vda[3]"; none for what is a path.
std::optional<std::uint32_t> number_in(const Disk& disk, const std::string& name) {
  const std::size_t open = name.find('[');
  if (open == std::string::npos || name.empty() || name.back() != ']' || name.front() == '/')
    return std::nullopt;
  const auto number = config::parse_unsigned(std::string_view(name).substr(open + 1, name.size() - open - 2));
  if (!number || *number > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  if (const std::string target = name.substr(0, open); target != disk.target) {
    throw invalid_argument(
        fmt::format("requested target '{}' does not match target '{}'", target, disk.target));
  }
  return static_cast<std::uint32_t>(*number);
}

// A relative name is one as an overlay's header has it: beside the image above.
bool is_named(const Disk& disk, std::uint32_t place, const std::string& name) {
  const std::string source = image_at(disk, place).source;
  if (source == name) return true;
  if (place == 0 || name.empty() || name.front() == '/') return false;
  const std::filesystem::path above = image_at(disk, place - 1).source;
  return (above.parent_path() / name).lexically_normal() == std::filesystem::path(source).lexically_normal();
}

[[noreturn]] void refuse_lookup(const Disk& disk, const std::string& name,
                                std::optional<std::uint32_t> number, std::optional<std::uint32_t> above) {
  if (number) {
    throw invalid_argument(
        fmt::format("could not find backing store index '{}' in chain for '{}'", *number, disk.source));
  }
  if (above) {
    throw invalid_argument(fmt::format("could not find image '{}' beneath '{}' in chain for '{}'", name,
                                       image_at(disk, *above).source, disk.source));
  }
  throw invalid_argument(fmt::format("could not find image '{}' in chain for '{}'", name, disk.source));
}

void erase_backing(std::vector<BackingImage>& backing, std::size_t first, std::size_t last) {
  backing.erase(backing.begin() + static_cast<std::ptrdiff_t>(first),
                backing.begin() + static_cast<std::ptrdiff_t>(last));
}

void become(Disk& disk, const BackingImage& image, std::vector<BackingImage> backing) {
  disk.volume.reset();
  disk.descriptor_group.clear();
  disk.source_type = image.source_type;
  disk.source = image.source;
  disk.server = image.server;
  disk.source_index = image.source_index;
  if (image.server) disk.startup_policy.reset();  // of files only
  disk.driver.format = image.format;
  disk.backing = std::move(backing);
}

bool is_same_source(const Disk& stored, const Disk& live) {
  return stored.volume ? stored.volume == live.volume
                       : stored.source == live.source && stored.server == live.server;
}

// Whether the first `count` images below the disk's own are declared as they are.
bool declares(const Disk& stored, const Disk& live, std::size_t count) {
  if (stored.backing.size() < count || live.backing.size() < count) return false;
  return std::equal(stored.backing.begin(), stored.backing.begin() + static_cast<std::ptrdiff_t>(count),
                    live.backing.begin(), [](const BackingImage& one, const BackingImage& two) {
                      return one.source == two.source;
                    });
}

void give_up_chain(Disk& stored) {
  stored.backing.clear();
  stored.backing_store_end = false;
}

void without_numbers(Disk& stored) {
  stored.source_index.reset();
  for (BackingImage& image : stored.backing) image.source_index.reset();
}

// Below the mirror: for a commit what is below it in the chain.
std::vector<BackingImage> below_mirror(const Disk& disk) {
  if (disk.mirror->job == config::MirrorJob::copy) return disk.mirror->backing;
  const auto found = std::ranges::find(disk.backing, disk.mirror->image);
  if (found == disk.backing.end()) throw internal_error("the mirror of a commit is not in the disk's chain");
  return {std::next(found), disk.backing.end()};
}

}  // namespace

BackingImage image_at(const Disk& disk, std::uint32_t place) {
  if (place > 0) return disk.backing.at(place - 1);
  return {.source_type = disk.source_type,
          .format = disk.driver.format.value_or(config::DiskFormat::raw),
          .source = disk.source,
          .server = disk.server,
          .source_index = disk.source_index};
}

std::uint32_t find_image(const Disk& disk, const std::optional<std::string>& name,
                         std::optional<std::uint32_t> above) {
  const std::uint32_t first = above ? *above + 1 : 0;
  if (!name) {
    if (first < chain_length(disk)) return chain_length(disk) - 1;
    throw invalid_argument(fmt::format("could not find base image in chain for '{}'", disk.source));
  }
  const auto number = number_in(disk, *name);
  for (std::uint32_t place = first; place < chain_length(disk); ++place) {
    if (number ? image_at(disk, place).source_index == number : is_named(disk, place, *name)) return place;
  }
  refuse_lookup(disk, *name, number, above);
}

CommitPlan plan_commit(const Disk& disk, const BlockCommit& commit, unsigned int flags) {
  CommitPlan plan;
  if (commit.top && *commit.top != disk.target) plan.top = find_image(disk, commit.top, std::nullopt);
  const std::string top = image_at(disk, plan.top).source;
  const bool is_active = (flags & VIR_DOMAIN_BLOCK_COMMIT_ACTIVE) != 0;
  if (plan.top == 0 && !is_active)
    throw invalid_argument(fmt::format("commit of '{}' active layer requires active flag", disk.target));
  if (plan.top != 0 && is_active)
    throw invalid_argument(fmt::format("active commit requested but '{}' is not active", top));
  if (plan.top + 1 >= chain_length(disk))
    throw invalid_argument(fmt::format("top '{}' in chain for '{}' has no backing file", top, commit.disk));
  const bool is_shallow = (flags & VIR_DOMAIN_BLOCK_COMMIT_SHALLOW) != 0;
  if (!commit.base && is_shallow) {
    plan.base = plan.top + 1;
  } else {
    plan.base = find_image(disk, commit.base, plan.top);
  }
  if (is_shallow && plan.base != plan.top + 1) {
    throw invalid_argument(fmt::format("base '{}' is not immediately below '{}' in chain for '{}'",
                                       *commit.base, top, commit.disk));
  }
  return plan;
}

std::uint64_t speed_of(std::uint64_t bandwidth, bool is_bytes) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  const std::uint64_t most = is_bytes ? kMost : kMost >> 20;
  if (bandwidth > most) throw Error(VIR_ERR_OVERFLOW, fmt::format("bandwidth must be less than {}", most));
  return is_bytes ? bandwidth : bandwidth << 20;
}

std::uint64_t bandwidth_of(std::uint64_t speed, bool is_bytes) {
  return is_bytes ? speed : (speed >> 20) + ((speed & 0xfffff) != 0 ? 1 : 0);
}

void end_commit(Disk& disk, std::uint32_t top, std::uint32_t base) {
  erase_backing(disk.backing, top - 1, base - 1);
}

void end_pull(Disk& disk, std::optional<std::uint32_t> base) {
  erase_backing(disk.backing, 0, base ? *base - 1 : disk.backing.size());
}

void pivot(Disk& disk) {
  std::vector<BackingImage> below = below_mirror(disk);
  const BackingImage image = disk.mirror->image;
  disk.mirror.reset();
  become(disk, image, std::move(below));
}

void check_pivot(const config::DomainDefinition& live, const std::string& target,
                 const config::DiskMirror& mirror) {
  config::DomainDefinition after = live;
  for (Disk& disk : after.devices.disks) {
    if (disk.target != target) continue;
    disk.mirror = mirror;
    pivot(disk);
  }
  config::check_readable(after);
}

bool end_commit_stored(Disk& stored, const Disk& live, std::uint32_t top, std::uint32_t base) {
  if (!is_same_source(stored, live) || stored.backing.empty()) return false;
  if (declares(stored, live, base)) {
    end_commit(stored, top, base);
  } else {
    give_up_chain(stored);
  }
  return true;
}

bool end_pull_stored(Disk& stored, const Disk& live, std::optional<std::uint32_t> base) {
  if (!is_same_source(stored, live) || stored.backing.empty()) return false;
  if (base && declares(stored, live, *base)) {
    end_pull(stored, base);
  } else {
    give_up_chain(stored);
  }
  return true;
}

bool pivot_stored(Disk& stored, const Disk& live) {
  if (!is_same_source(stored, live)) return false;
  const std::vector<BackingImage> below = below_mirror(live);
  const std::size_t above = live.backing.size() - below.size();
  const bool is_declared = live.mirror->job == config::MirrorJob::active_commit && !stored.backing.empty() &&
                           declares(stored, live, above);
  std::vector<BackingImage> declared;
  if (is_declared)
    declared.assign(stored.backing.begin() + static_cast<std::ptrdiff_t>(above), stored.backing.end());
  become(stored, live.mirror->image, std::move(declared));
  if (!is_declared) stored.backing_store_end = false;
  without_numbers(stored);
  return true;
}

}  // namespace warren::driver::domain
