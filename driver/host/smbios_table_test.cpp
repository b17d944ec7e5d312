// SMBIOS structures out of tables that are whole, cut and wrong; and what <sysinfo> makes of them.

#include "driver/host/smbios_table.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/host/sysinfo.h"

namespace warren::driver::host {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

using Table = std::vector<std::uint8_t>;

// A structure of a type with its formatted area behind the header, and strings.
void add(Table& table, std::uint8_t type, const Table& formatted,
         std::initializer_list<std::string_view> strings) {
  table.insert(table.end(), {type, static_cast<std::uint8_t>(4 + formatted.size()), 0, 0});
  table.insert(table.end(), formatted.begin(), formatted.end());
  for (const std::string_view text : strings) {
    table.insert(table.end(), text.begin(), text.end());
    table.push_back(0);
  }
  if (strings.size() == 0) table.push_back(0);
  table.push_back(0);
}

Table processor() {
  Table area(0x24 - 4);
  const auto set = [&](std::size_t offset, std::uint8_t value) { area[offset - 4] = value; };
  set(0x04, 1);     // socket
  set(0x05, 3);     // central
  set(0x07, 2);     // manufacturer
  set(0x12, 100);   // MHz
  set(0x14, 0xa0);  // 4000 MHz
  set(0x15, 0x0f);
  set(0x18, 0x41);  // populated, enabled
  return area;
}

Table memory(std::uint16_t size, std::uint32_t extended = 0) {
  Table area(0x20 - 4);
  const auto set = [&](std::size_t offset, std::uint32_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) area[offset + i - 4] = static_cast<std::uint8_t>(value >> 8 * i);
  };
  set(0x0c, size, 2);
  set(0x0e, 9, 1);     // DIMM
  set(0x10, 1, 1);     // locator
  set(0x12, 0x1a, 1);  // DDR4
  set(0x15, 2666, 2);
  set(0x1c, extended, 4);
  return area;
}

TEST(SmbiosTable, StructuresAndTheirStrings) {
  Table table;
  add(table, 4, processor(), {"CPU0", "ACME"});
  add(table, 126, {}, {});
  add(table, 127, {}, {});
  add(table, 11, {1}, {"behind the end"});
  const auto structures = parse_smbios_table(table);
  ASSERT_EQ(structures.size(), 3U);
  EXPECT_EQ(structures[0].string(0x04), "CPU0");
  EXPECT_EQ(structures[0].string(0x07), "ACME");
  EXPECT_EQ(structures[0].word(0x14), 4000);
  EXPECT_EQ(structures[0].word(0x23), 0);     // half of it is not there
  EXPECT_EQ(structures[0].string(0x05), "");  // the third of two
  EXPECT_EQ(structures[1].type(), 126);
  EXPECT_EQ(structures[2].type(), 127);
}

TEST(SmbiosTable, ATableThatIsCutEndsBeforeTheCut) {
  Table table;
  add(table, 4, processor(), {"CPU0", "ACME"});
  const std::size_t first = table.size();
  add(table, 17, memory(16384), {"DIMM 0"});
  for (std::size_t size = 0; size <= table.size(); ++size) {
    const auto structures = parse_smbios_table(std::span(table).first(size));
    EXPECT_EQ(structures.size(), size == table.size() ? 2U : size >= first ? 1U : 0U) << size;
  }
}

TEST(SmbiosTable, ALengthThatIsTooShortEndsIt) {
  for (std::uint8_t length = 0; length < 4; ++length)
    EXPECT_TRUE(parse_smbios_table(Table{4, length, 0, 0, 0, 0}).empty());
}

TEST(SmbiosTable, InSysinfo) {
  char name[] = "/tmp/warren-smbios-XXXXXX";
  const fs::path root = ::mkdtemp(name);
  Table table;
  add(table, 17, memory(16384), {"DIMM 0"});
  add(table, 17, memory(0x7fff, 65536), {"DIMM 1"});
  add(table, 17, memory(0), {"DIMM 2"});
  add(table, 17, memory(0x8200), {"DIMM 3"});
  add(table, 4, processor(), {"CPU0", "A & B"});
  add(table, 11, {2}, {"one", "two"});
  fs::create_directories(root / "sys/class/dmi/id");
  std::ofstream(root / "sys/class/dmi/id/sys_vendor") << "ACME\n";
  fs::create_directories(root / "sys/firmware/dmi/tables");
  std::ofstream(root / "sys/firmware/dmi/tables/DMI", std::ios::binary)
      .write(reinterpret_cast<const char*>(table.data()), static_cast<std::streamsize>(table.size()));
  const std::string text = format_sysinfo(root);
  EXPECT_THAT(text, HasSubstr("  <processor>\n"
                              "    <entry name='socket_destination'>CPU0</entry>\n"
                              "    <entry name='type'>Central Processor</entry>\n"
                              "    <entry name='manufacturer'>A &amp; B</entry>\n"
                              "    <entry name='external_clock'>100 MHz</entry>\n"
                              "    <entry name='max_speed'>4000 MHz</entry>\n"
                              "    <entry name='status'>Populated, Enabled</entry>\n"
                              "  </processor>\n"
                              "  <memory_device>\n"
                              "    <entry name='size'>16 GB</entry>\n"
                              "    <entry name='form_factor'>DIMM</entry>\n"
                              "    <entry name='locator'>DIMM 0</entry>\n"
                              "    <entry name='type'>DDR4</entry>\n"
                              "    <entry name='speed'>2666 MT/s</entry>\n"
                              "  </memory_device>\n"));
  EXPECT_THAT(text, HasSubstr("<entry name='size'>64 GB</entry>"));
  EXPECT_THAT(text, HasSubstr("<entry name='size'>No Module Installed</entry>"));
  EXPECT_THAT(text, HasSubstr("<entry name='size'>512 kB</entry>"));
  EXPECT_THAT(text, HasSubstr("  <oemStrings>\n"
                              "    <entry>one</entry>\n"
                              "    <entry>two</entry>\n"
                              "  </oemStrings>\n"));
  fs::remove_all(root);
}

}  // namespace
}  // namespace warren::driver::host
