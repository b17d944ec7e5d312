// Chains of images: as they are declared, as headers say they go on, and what is refused.
#include "driver/domain/disk_chain.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {
namespace {

using config::BackingImage;
using config::DiskFormat;

std::string big_endian(std::uint64_t value, unsigned size) {
  std::string bytes;
  for (unsigned i = size; i-- != 0;) bytes += static_cast<char>(value >> i * 8);
  return bytes;
}

class DiskChain : public testing::Test {
 protected:
  DiskChain() {
    char name[] = "/tmp/warren-chain-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~DiskChain() override { std::filesystem::remove_all(root_); }

  std::string path(const std::string& name) const { return root_ / name; }

  // A header, which is all that is read here.
  void make_qcow2(const std::string& name, const std::string& backing, const std::string& format,
                  const std::string& data = "") const {
    std::string extensions;
    const auto add = [&extensions](std::uint64_t type, const std::string& text) {
      if (text.empty()) return;
      extensions += big_endian(type, 4) + big_endian(text.size(), 4) + text;
      extensions.resize((extensions.size() + 7) / 8 * 8);
    };
    add(0xe2792aca, format);
    add(0x44415441, data);
    extensions += std::string(8, '\0');
    std::string header = "QFI\xfb" + big_endian(3, 4);
    header += big_endian(backing.empty() ? 0 : 104 + extensions.size(), 8) + big_endian(backing.size(), 4);
    header += big_endian(16, 4) + big_endian(std::uint64_t{5} << 30, 8);
    header.resize(72);
    header += big_endian(data.empty() ? 0 : 4, 8);
    header.resize(100);
    header += big_endian(104, 4) + extensions + backing;
    header.resize(65536);
    std::ofstream(root_ / name, std::ios::binary) << header;
  }
  void make_raw(const std::string& name) const { std::ofstream(root_ / name) << std::string(4096, 'r'); }

  config::Disk disk(const std::string& name) const {
    config::Disk disk;
    disk.source = path(name);
    disk.target = "vda";
    disk.driver.format = DiskFormat::qcow2;
    return disk;
  }
  std::string refusal(const config::Disk& of) const {
    try {
      open_disk_chain(of, {});
      return "opened";
    } catch (const Error& error) {
      return error.message();
    }
  }

  std::filesystem::path root_;
};

TEST_F(DiskChain, HeadersSayHowItGoesOn) {
  make_qcow2("top", "middle", "qcow2");
  make_qcow2("middle", path("base"), "raw");
  make_raw("base");
  const auto chain = open_disk_chain(disk("top"), {});
  ASSERT_EQ(chain.size(), 3u);
  EXPECT_EQ(backing_of(chain),
            (std::vector<BackingImage>{{.format = DiskFormat::qcow2, .source = path("middle")},
                                       {.format = DiskFormat::raw, .source = path("base")}}));
  EXPECT_EQ(::fcntl(chain[0].image.file.get(), F_GETFL) & O_ACCMODE, O_RDWR);
  EXPECT_EQ(::fcntl(chain[1].image.file.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_EQ(measure_image(path("top"), DiskFormat::qcow2).capacity, std::uint64_t{5} << 30);
}

TEST_F(DiskChain, WhatIsDeclaredGoesBeforeWhatHeadersSay) {
  make_qcow2("top", "nowhere", "qcow2");
  make_qcow2("other", "base", "raw");
  make_raw("base");
  config::Disk declared = disk("top");
  declared.backing = {{.format = DiskFormat::qcow2, .source = path("other")}};
  EXPECT_EQ(open_disk_chain(declared, {}).size(), 3u);
  declared.backing_store_end = true;
  EXPECT_EQ(open_disk_chain(declared, {}).size(), 2u);
  declared.backing.clear();
  EXPECT_EQ(open_disk_chain(declared, {}).size(), 1u);
}

TEST_F(DiskChain, ReadersShareAnImageThatNobodyWrites) {
  make_qcow2("one", "base", "raw");
  make_qcow2("two", "base", "raw");
  make_raw("base");
  const auto first = open_disk_chain(disk("one"), {}), second = open_disk_chain(disk("two"), {});
  config::Disk writer = disk("base");
  writer.driver.format = DiskFormat::raw;
  EXPECT_NE(refusal(writer).find("in use by another running domain"), std::string::npos) << refusal(writer);
}

TEST_F(DiskChain, ExternalDataIsOpenedBesideItsImage) {
  make_qcow2("top", "", "", "data");
  make_raw("data");
  const auto chain = open_disk_chain(disk("top"), {});
  ASSERT_EQ(chain.size(), 1u);
  EXPECT_TRUE(chain[0].data.file);
}

// T10, T32
TEST_F(DiskChain, RefusesCyclesAndFormatsThatNobodySaid) {
  make_qcow2("a", "b", "qcow2");
  make_qcow2("b", "a", "qcow2");
  EXPECT_NE(refusal(disk("a")).find("contains '" + path("a") + "' twice"), std::string::npos)
      << refusal(disk("a"));
  make_qcow2("unsaid", "base", "");
  make_raw("base");
  EXPECT_NE(refusal(disk("unsaid")).find("was not specified in the image metadata"), std::string::npos);
  make_qcow2("foreign", "base", "vmdk");
  EXPECT_NE(refusal(disk("foreign")).find("has format 'vmdk', which Warren does not read"),
            std::string::npos);
  make_qcow2("remote", "nbd://host/x", "raw");
  EXPECT_NE(refusal(disk("remote")).find("which is not the path of a file"), std::string::npos);
  EXPECT_NE(refusal(disk("base")).find("is not in qcow2 format"), std::string::npos);
  make_qcow2("lost", "nothing", "raw");
  EXPECT_NE(refusal(disk("lost")).find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace warren::driver::domain
