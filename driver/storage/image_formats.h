// Names that pools and volumes have for what is in them: libvirt's, in libvirt's order.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace warren::driver::storage {

inline constexpr std::string_view kImageFormats[] = {"none", "raw",  "dir",   "bochs", "cloop", "dmg",
                                                     "iso",  "vpc",  "vdi",   "fat",   "vhd",   "ploop",
                                                     "cow",  "qcow", "qcow2", "qed",   "vmdk"};
inline constexpr std::string_view kFileSystems[] = {"auto", "ext2", "ext3", "ext4", "ufs", "iso9660", "udf",
                                                    "gfs",  "gfs2", "vfat", "hfs+", "xfs", "ocfs2",   "vmfs"};
inline constexpr std::string_view kNetworkFileSystems[] = {"auto", "nfs", "glusterfs", "cifs"};
inline constexpr std::string_view kPartitionTables[] = {"unknown", "dos",  "dvh", "gpt", "mac",
                                                        "bsd",     "pc98", "sun", "lvm2"};
inline constexpr std::string_view kVolumeManagers[] = {"unknown", "lvm2"};
inline constexpr std::string_view kPartitionKinds[] = {"none",       "linux",     "fat16",      "fat32",
                                                       "linux-swap", "linux-lvm", "linux-raid", "extended"};

inline bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace warren::driver::storage
