#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "vmm-core/machine/acpi_tables.h"
#include "vmm-core/machine/smbios_tables.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::machine {
namespace {

constexpr GuestMemory::Layout kLayout[] = {{GuestAddress{0}, 1 << 20}};

class FirmwareTablesTest : public testing::Test {
 protected:
  template <typename T>
  T get(std::uint64_t address) {
    T value{};
    EXPECT_TRUE(memory_.read(GuestAddress{address}, std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }

  unsigned sum(std::uint64_t start, std::uint64_t size) {
    unsigned total = 0;
    for (std::uint64_t i = 0; i < size; ++i) total += get<std::uint8_t>(start + i);
    return total & 0xff;
  }

  std::vector<char> bytes(std::uint64_t start, std::size_t size) {
    std::vector<char> result(size);
    EXPECT_TRUE(memory_.read(GuestAddress{start}, std::as_writable_bytes(std::span(result))));
    return result;
  }

  GuestAddress write_acpi() {
    AcpiConfiguration configuration;
    for (std::uint32_t i = 1; i < 255; ++i) configuration.hot_pluggable_vcpus.push_back(i);
    configuration.absent_vcpus = {2, 254};
    for (std::uint32_t i = 0; i < 256; ++i) configuration.apic_ids.push_back(i);
    configuration.memory_map = make_memory_map(5 * kGibibyte, 10 * kGibibyte, 128);
    configuration.memory_slots = 128;
    // As many as bus 0 has room for.
    for (std::uint8_t bus = 1; bus <= 240; ++bus) {
      const auto slot = static_cast<std::uint8_t>(1 + (bus - 1) / 8),
                 function = static_cast<std::uint8_t>((bus - 1) % 8);
      configuration.hot_plug_ports.push_back(
          {bus, slot, function, static_cast<std::uint8_t>(slot << 3 | function)});
    }
    configuration.numa = {{kGibibyte, {0, 255}, {10, 20, 40}},
                          {3 * kGibibyte, {1}, {20, 10, 30}},
                          {kGibibyte, {}, {40, 30, 10}}};
    configuration.serial_ports = {0, 1, 2, 3};
    configuration.panic_port = true;
    configuration.root_complex = true;
    configuration.generation_id = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                   0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    configuration.sleep_states = {.s3 = true, .s4 = true};
    const AcpiPlaces places = write_acpi_tables(configuration, memory_);
    EXPECT_EQ((get<std::array<char, 4>>(places.facs.value)), (std::array{'F', 'A', 'C', 'S'}));
    EXPECT_EQ(places.facs.value % 64, 0u);
    return places.root;
  }

  // Signature and place of every table the XSDT lists.
  std::vector<std::pair<std::string, std::uint64_t>> tables(GuestAddress root) {
    const auto xsdt = get<std::uint64_t>(root.value + 24);
    const auto length = get<std::uint32_t>(xsdt + 4);
    EXPECT_EQ(sum(xsdt, length), 0u);
    std::vector<std::pair<std::string, std::uint64_t>> found;
    for (std::uint64_t at = 36; at < length; at += 8) {
      const auto table = get<std::uint64_t>(xsdt + at);
      const auto signature = get<std::array<char, 4>>(table);
      found.emplace_back(std::string(signature.begin(), signature.end()), table);
    }
    return found;
  }

  GuestMemory memory_{kLayout};
};

TEST_F(FirmwareTablesTest, AcpiTablesAddUpToZeroAndAreFoundFromTheRoot) {
  const GuestAddress root = write_acpi();
  EXPECT_EQ(sum(root.value, 20), 0u);
  EXPECT_EQ(sum(root.value, 36), 0u);
  std::string found;
  for (const auto& [signature, table] : tables(root)) {
    found += signature + " ";
    EXPECT_EQ(sum(table, get<std::uint32_t>(table + 4)), 0u) << found;
  }
  EXPECT_EQ(found, "FACP APIC MCFG SRAT SLIT SSDT ");
}

// Node 1 has RAM on both sides of the hole below 4 GiB.
TEST_F(FirmwareTablesTest, TheGenerationIdHasAPageOfItsOwn) {
  write_acpi();
  // Its first three fields are little-endian numbers.
  EXPECT_EQ(get<std::uint32_t>(kGenerationIdPage.value), 0x00112233U);
  EXPECT_EQ(get<std::uint16_t>(kGenerationIdPage.value + 4), 0x4455U);
  EXPECT_EQ(get<std::uint16_t>(kGenerationIdPage.value + 6), 0x6677U);
  EXPECT_EQ(get<std::uint64_t>(kGenerationIdPage.value + 8), 0xffeeddccbbaa9988U);
  EXPECT_EQ(sum(kGenerationIdPage.value + 16, 4080), 0U);
}

// A machine without such ports is as it was.
TEST_F(FirmwareTablesTest, PortsWhoseDevicesComeAndGoHaveATable) {
  AcpiConfiguration configuration;
  configuration.apic_ids = {0};
  configuration.memory_map = make_memory_map(kGibibyte);
  EXPECT_EQ(tables(write_acpi_tables(configuration, memory_).root).back().first, "MCFG");
  configuration.hot_plug_ports = {{.bus = 0x1a, .slot = 2, .function = 1, .number = 17}};
  const auto found = tables(write_acpi_tables(configuration, memory_).root);
  ASSERT_EQ(found.back().first, "SSDT");
  const auto content = bytes(found.back().second, get<std::uint32_t>(found.back().second + 4));
  const std::string text(content.begin(), content.end());
  using namespace std::string_literals;
  EXPECT_THAT(text, testing::HasSubstr("RP1A\x08_ADR\x0c\x01\0\x02\0"s)) << "where it is on bus 0";
  EXPECT_THAT(text, testing::HasSubstr("SL00\x08_ADR\0\x08_SUN\x0a\x11"s)) << "what is behind it";
  EXPECT_THAT(text, testing::HasSubstr("_E04"));
}

TEST_F(FirmwareTablesTest, SratPartsTheMemoryAndSlitTellsDistances) {
  const auto found = tables(write_acpi());
  const std::uint64_t srat = found.at(3).second;
  std::vector<std::array<std::uint64_t, 3>> memory;
  for (std::uint64_t at = srat + 48; at < srat + get<std::uint32_t>(srat + 4);
       at += get<std::uint8_t>(at + 1)) {
    if (get<std::uint8_t>(at) != 1) continue;
    memory.push_back({get<std::uint32_t>(at + 2), get<std::uint64_t>(at + 8), get<std::uint64_t>(at + 16)});
  }
  using Range = std::array<std::uint64_t, 3>;
  EXPECT_THAT(memory,
              testing::ElementsAre(Range{0, 0, kGibibyte}, Range{1, kGibibyte, kGibibyte},
                                   Range{1, 4 * kGibibyte, 2 * kGibibyte}, Range{2, 6 * kGibibyte, kGibibyte},
                                   Range{2, 7 * kGibibyte, 138 * kGibibyte}))
      << "and where memory may come";
  const std::uint64_t slit = found.at(4).second;
  EXPECT_EQ(get<std::uint64_t>(slit + 36), 3u);
  EXPECT_EQ((get<std::array<std::uint8_t, 9>>(slit + 44)),
            (std::array<std::uint8_t, 9>{10, 20, 40, 20, 10, 30, 40, 30, 10}));
}

// Processors that may come are listed as such, whatever is there now (ACPI 6.5 table 5.34).
TEST_F(FirmwareTablesTest, MadtTellsWhichProcessorsAreThereAndWhichMayCome) {
  const std::uint64_t madt = tables(write_acpi()).at(1).second;
  std::vector<std::uint32_t> flags;
  for (std::uint64_t at = madt + 44; at < madt + get<std::uint32_t>(madt + 4);
       at += get<std::uint8_t>(at + 1)) {
    if (get<std::uint8_t>(at) == 0) flags.push_back(get<std::uint32_t>(at + 4));
    if (get<std::uint8_t>(at) == 9) flags.push_back(get<std::uint32_t>(at + 8));
  }
  ASSERT_EQ(flags.size(), 256U);
  for (std::size_t i = 0; i < flags.size(); ++i) EXPECT_EQ(flags[i], i == 2 || i == 254 ? 2U : 1U) << i;
}

// An interpreter that is not ours must take our AML and every field of the tables: iasl reads them back and
// compiles what it read.
TEST_F(FirmwareTablesTest, AcpiTablesAreReadByTheReferenceCompiler) {
  std::string directory = testing::TempDir() + "acpi-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  auto found = tables(write_acpi());
  constexpr std::uint64_t kDsdtOfFadt = 140;
  found.emplace_back("DSDT", get<std::uint64_t>(found.at(0).second + kDsdtOfFadt));
  for (const auto& [signature, table] : found) {
    const std::string path = directory + "/" + signature;
    const auto content = bytes(table, get<std::uint32_t>(table + 4));
    std::ofstream(path + ".aml", std::ios::binary).write(content.data(), std::ssize(content));
    const std::string read_back = "iasl -p " + path + " -d " + path + ".aml >" + path + ".log 2>&1";
    const std::string compile = " && iasl -vr -we -p " + path + "2 " + path + ".dsl >>" + path + ".log 2>&1";
    const int status = std::system((read_back + compile).c_str());  // NOLINT(concurrency-mt-unsafe)
    std::ifstream log(path + ".log");
    EXPECT_EQ(status, 0) << std::string(std::istreambuf_iterator<char>(log), {});
  }
  std::filesystem::remove_all(directory);
}

TEST_F(FirmwareTablesTest, SmbiosTellsTheUuidTheSocketsAndTheMemory) {
  SmbiosConfiguration configuration;
  for (std::uint8_t i = 0; i < 16; ++i) configuration.uuid[i] = i;
  configuration.memory_map = make_memory_map(std::uint64_t{5} << 40);
  configuration.cpu.sockets = 2;
  configuration.cpu.cores = 300;
  write_smbios_tables(configuration, memory_);

  const std::uint64_t entry = kSmbiosTables.value;
  EXPECT_EQ(std::string(bytes(entry, 5).data(), 5), "_SM3_");
  EXPECT_EQ(sum(entry, 24), 0u);
  const auto size = get<std::uint32_t>(entry + 12);
  const auto start = get<std::uint64_t>(entry + 16);
  std::vector<unsigned> types;
  for (std::uint64_t at = start; at < start + size;) {
    const auto type = get<std::uint8_t>(at);
    const auto length = get<std::uint8_t>(at + 1);
    types.push_back(type);
    if (type == 1) {
      const std::array<std::uint8_t, 16> wire = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
      EXPECT_EQ((get<std::array<std::uint8_t, 16>>(at + 8)), wire);
    }
    if (type == 4) {
      EXPECT_EQ(length, 48);
      EXPECT_EQ(get<std::uint8_t>(at + 0x23), 0xff);
      EXPECT_EQ(get<std::uint16_t>(at + 0x2a), 300);
    }
    if (type == 17) {
      EXPECT_EQ(length, 40);
      EXPECT_EQ(get<std::uint32_t>(at + 0x1c), 5u << 20);
    }
    at += length;
    while (get<std::uint16_t>(at) != 0) ++at;
    at += 2;
  }
  EXPECT_THAT(types, testing::ElementsAre(0, 1, 3, 4, 4, 16, 17, 19, 19, 32, 127));
}

// What the domain says stands in the tables as it is, and what it leaves out is Warren's own or nothing.
TEST_F(FirmwareTablesTest, SmbiosSaysWhatItIsTold) {
  SmbiosConfiguration configuration;
  configuration.memory_map = make_memory_map(16 << 20);
  configuration.strings.bios.release = "7.42";
  configuration.strings.system.serial = "serial-1";
  configuration.strings.base_board.product = "board";
  configuration.strings.oem_strings = {"one", "two"};
  write_smbios_tables(configuration, memory_);
  const auto size = get<std::uint32_t>(kSmbiosTables.value + 12);
  const auto content = bytes(get<std::uint64_t>(kSmbiosTables.value + 16), size);
  const std::string table(content.data(), content.size());
  EXPECT_EQ(table[0x14], 7);
  EXPECT_EQ(table[0x15], 42);
  using namespace std::string_literals;
  EXPECT_THAT(table, testing::HasSubstr("Warren\0Standard PC (Q35 + ICH9)\0"
                                        "1.0\0serial-1\0Virtual Machine\0\0"s));
  EXPECT_THAT(table, testing::HasSubstr("board\0\0"s));
  EXPECT_THAT(table, testing::HasSubstr("one\0two\0\0"s));
}

TEST_F(FirmwareTablesTest, SmbiosWithMoreSocketsThanItHasRoomForIsAnError) {
  SmbiosConfiguration configuration;
  configuration.memory_map = make_memory_map(16 << 20);
  configuration.cpu.sockets = 255;
  EXPECT_NO_THROW(write_smbios_tables(configuration, memory_));
  configuration.cpu.sockets = 2000;
  EXPECT_THROW(write_smbios_tables(configuration, memory_), Error);
}

}  // namespace
}  // namespace warren::vmm::machine
