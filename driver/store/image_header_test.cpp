// What headers say, and that a declaration wins over them (T32).

#include "driver/store/image_header.h"

#include <string>

#include <gtest/gtest.h>

namespace warren::driver::store {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

void put(std::string& image, std::size_t at, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) image[at + i] = static_cast<char>(value >> (8 * (width - 1 - i)));
}

// qcow2.txt, "Header".
std::string qcow2(std::uint32_t version, const std::string& backing = "", const std::string& format = "") {
  std::string image(1024, '\0');
  image.replace(0, 4, "QFI\xfb");
  put(image, 4, version, 4);
  put(image, 20, 16, 4);
  put(image, 24, std::uint64_t{5} << 30, 8);
  std::size_t extension = 72;
  if (version == 3) {
    put(image, 100, 104, 4);
    put(image, 80, 1, 8);  // lazy refcounts
    extension = 104;
  }
  if (!format.empty()) {
    put(image, extension, 0xe2792aca, 4);
    put(image, extension + 4, format.size(), 4);
    image.replace(extension + 8, format.size(), format);
  }
  if (!backing.empty()) {
    put(image, 8, 512, 8);
    put(image, 16, backing.size(), 4);
    image.replace(512, backing.size(), backing);
  }
  return image;
}

TEST(ImageHeader, OfQcow2) {
  const ImageHeader old = probe_header(bytes_of(qcow2(2, "base.img", "raw")));
  EXPECT_EQ(old.format, "qcow2");
  EXPECT_EQ(old.compatibility, "");
  EXPECT_EQ(old.capacity, std::uint64_t{5} << 30);
  EXPECT_EQ(old.cluster_bytes, 65536U);
  EXPECT_EQ(old.backing_path, "base.img");
  EXPECT_EQ(old.backing_format, "raw");
  EXPECT_FALSE(old.features);
  const ImageHeader recent = probe_header(bytes_of(qcow2(3)));
  EXPECT_EQ(recent.compatibility, "1.1");
  EXPECT_EQ(recent.features, std::vector<std::string>{"lazy_refcounts"});
  EXPECT_TRUE(recent.backing_path.empty());
}

TEST(ImageHeader, WhatIsDeclaredRawStaysRaw) {
  const ImageHeader header = read_header("raw", bytes_of(qcow2(3, "/etc/shadow", "raw")));
  EXPECT_EQ(header.format, "raw");
  EXPECT_EQ(header.capacity, 0U);
  EXPECT_TRUE(header.backing_path.empty());
}

TEST(ImageHeader, NonsenseIsNotBelieved) {
  std::string image = qcow2(3, "base");
  put(image, 8, UINT64_MAX, 8);
  EXPECT_TRUE(probe_header(bytes_of(image)).backing_path.empty());
  // But others believe it.
  EXPECT_TRUE(probe_header(bytes_of(image)).is_backed);
  image = qcow2(3, "ba\nse");
  EXPECT_TRUE(probe_header(bytes_of(image)).backing_path.empty());
  EXPECT_TRUE(probe_header(bytes_of(image)).is_backed);
  EXPECT_FALSE(probe_header(bytes_of(qcow2(3))).is_backed);
  image = qcow2(3);
  put(image, 24, UINT64_MAX, 8);
  put(image, 20, 63, 4);
  EXPECT_EQ(probe_header(bytes_of(image)).capacity, 0U);
  EXPECT_EQ(probe_header(bytes_of(image)).cluster_bytes, 0U);
  image = qcow2(3);
  put(image, 104, 1, 4);
  put(image, 108, 0xffffffff, 4);  // an extension beyond everything
  EXPECT_EQ(probe_header(bytes_of(image)).format, "qcow2");
  EXPECT_EQ(probe_header({}).format, "raw");
}

// T10: what a disk is opened by must be whole.
TEST(ImageHeader, WhatCannotBeReliedOnIsSaid) {
  const auto defect = [](const std::string& image) { return read_header("qcow2", bytes_of(image)).defect; };
  EXPECT_EQ(defect(qcow2(3, "base", "raw")), "");
  EXPECT_EQ(defect(qcow2(2)), "");
  EXPECT_EQ(defect(std::string(1024, 'x')), "its first bytes are others");
  EXPECT_EQ(defect(qcow2(3).substr(0, 90)), "its header is cut off");
  std::string image = qcow2(3);
  put(image, 20, 8, 4);
  EXPECT_EQ(defect(image), "its clusters have no possible size");
  image = qcow2(3);
  put(image, 104, 1, 4);
  put(image, 108, 0xffffffff, 4);
  EXPECT_EQ(defect(image), "a header extension ends beyond the header");
  for (const std::uint64_t place : {std::uint64_t{1020}, UINT64_MAX}) {
    image = qcow2(3, "base", "raw");
    put(image, 8, place, 8);
    EXPECT_NE(defect(image), "") << place;
  }
  image = qcow2(3, std::string("ba\0e", 4), "raw");
  EXPECT_NE(defect(image), "");
  // A header of small clusters ends with the first of them.
  image = qcow2(3, "base", "raw");
  put(image, 20, 9, 4);
  EXPECT_NE(defect(image), "");
}

TEST(ImageHeader, ExternalData) {
  std::string image = qcow2(3);
  put(image, 72, 4, 8);
  put(image, 104, 0x44415441, 4);
  put(image, 108, 4, 4);
  image.replace(112, 4, "data");
  const ImageHeader header = read_header("qcow2", bytes_of(image));
  EXPECT_TRUE(header.has_data_file);
  EXPECT_EQ(header.data_file, "data");
}

TEST(ImageHeader, OthersByTheirSignature) {
  std::string vdi(1024, '\0');
  vdi.replace(0x40, 4, "\x7f\x10\xda\xbe");
  vdi[0x171] = 1;
  EXPECT_EQ(probe_header(bytes_of(vdi)).format, "vdi");
  EXPECT_EQ(probe_header(bytes_of(vdi)).capacity, 256U);
  std::string iso(33000, '\0');
  iso.replace(32769, 5, "CD001");
  EXPECT_EQ(probe_header(bytes_of(iso)).format, "iso");
  std::string luks(1024, '\0');
  luks.replace(0, 6, "LUKS\xba\xbe");
  EXPECT_EQ(probe_header(bytes_of(luks)).format, "raw");
  EXPECT_EQ(probe_header(bytes_of(luks)).encryption, "luks");
}

TEST(ImageHeader, Utf8IsCheckedToTheLastByte) {
  EXPECT_TRUE(is_utf8("äöü €"));
  EXPECT_FALSE(is_utf8("\xc3"));
  EXPECT_FALSE(is_utf8("\xc0\x80"));
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));
  EXPECT_FALSE(is_utf8("\xff"));
}

}  // namespace
}  // namespace warren::driver::store
