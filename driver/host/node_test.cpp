// The node's CPUs, memory and firmware, on file systems of the tests' own.

#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libvirt/libvirt.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "driver/host/node_cpu.h"
#include "driver/host/node_memory.h"
#include "driver/host/sysinfo.h"

namespace warren::driver::host {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kKsm = "sys/kernel/mm/ksm/";

class FakeNode : public testing::Test {
 protected:
  FakeNode() {
    char name[] = "/tmp/warren-node-XXXXXX";
    root_ = ::mkdtemp(name);
    put("sys/devices/system/cpu/present", "0-9\n");
    put("sys/devices/system/cpu/online", "0-1,8\n");
    put("proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 2599.998\n");
    put("proc/stat", "cpu  10 20 30 40 50 60 70 0 0 0\ncpu0 1 2 3 4 5 6 7 0 0 0\ncpu1 1\nintr 5\n");
    put("proc/meminfo", "MemTotal: 8192 kB\nMemFree: 4096 kB\nBuffers: 16 kB\nCached: 32 kB\n");
    put("sys/devices/system/node/online", "0-1\n");
    for (int cell = 0; cell < 2; ++cell) {
      const std::string node = fmt::format("sys/devices/system/node/node{}/", cell);
      put(node + "meminfo",
          fmt::format("Node {0} MemTotal: 4096 kB\nNode {0} MemFree: {1} kB\n", cell, 1000 + cell));
      put(node + "hugepages/hugepages-2048kB/nr_hugepages", "4\n");
      put(node + "hugepages/hugepages-2048kB/free_hugepages", fmt::format("{}\n", 3 + cell));
    }
    put("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n");
    put("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "7\n");
    for (const char* file : {"pages_to_scan", "sleep_millisecs", "pages_shared", "pages_sharing",
                             "pages_unshared", "pages_volatile", "full_scans", "merge_across_nodes"})
      put(std::string(kKsm) + file, "1\n");
    facts_.cells = {{.id = 0}, {.id = 1}};
  }
  ~FakeNode() override { fs::remove_all(root_); }

  void put(const std::string& path, std::string_view text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::string get(const std::string& path) const {
    std::ifstream file(root_ / path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  NodeMemory memory() const { return {facts_, root_}; }

  template <typename Function>
  static int code_of(Function function) {
    try {
      function();
    } catch (const Error& error) {
      return error.code();
    }
    return 0;
  }

  fs::path root_;
  config::HostFacts facts_;
};

TEST_F(FakeNode, CpuLists) {
  EXPECT_EQ(parse_cpu_list("0-1,4", 0), (std::vector<std::uint8_t>{0x13}));
  EXPECT_EQ(parse_cpu_list("8", 3), (std::vector<std::uint8_t>{0, 1}));
  EXPECT_EQ(parse_cpu_list("", 9), (std::vector<std::uint8_t>{0, 0}));
  EXPECT_EQ(parse_cpu_list("x", 1), (std::vector<std::uint8_t>{0}));
  EXPECT_EQ(parse_cpu_list("0-4000000000", 1).size(), 1024U);
}

TEST_F(FakeNode, CpuMapAndSpeed) {
  const NodeCpuMap map = node_cpu_map(root_);
  EXPECT_EQ(map.present, 10U);
  EXPECT_EQ(map.online, 3U);
  EXPECT_EQ(map.map, (std::vector<std::uint8_t>{3, 1}));
  EXPECT_EQ(cpu_mhz(root_), 2599U);
}

TEST_F(FakeNode, CpuStatisticsAreNanoseconds) {
  const std::uint64_t tick = 1'000'000'000u / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const auto all = cpu_statistics(root_, VIR_NODE_CPU_STATS_ALL_CPUS);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].name, VIR_NODE_CPU_STATS_KERNEL);
  EXPECT_EQ(all[0].value, 160 * tick);
  EXPECT_EQ(all[1].name, VIR_NODE_CPU_STATS_USER);
  EXPECT_EQ(all[1].value, 30 * tick);
  EXPECT_EQ(all[2].value, 40 * tick);
  EXPECT_EQ(all[3].name, VIR_NODE_CPU_STATS_IOWAIT);
  EXPECT_EQ(all[3].value, 50 * tick);
  EXPECT_EQ(cpu_statistics(root_, 0)[1].value, 3 * tick);
  for (const int cpu : {1, 2, -2, 1 << 30})
    EXPECT_EQ(code_of([&] { cpu_statistics(root_, cpu); }), VIR_ERR_INVALID_ARG) << cpu;
}

TEST_F(FakeNode, MemoryStatistics) {
  const auto all = memory().statistics(VIR_NODE_MEMORY_STATS_ALL_CELLS);
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].value, 8192U);
  EXPECT_EQ(all[3].name, VIR_NODE_MEMORY_STATS_CACHED);
  EXPECT_EQ(all[3].value, 32U);
  const auto cell = memory().statistics(1);
  ASSERT_EQ(cell.size(), 2U);
  EXPECT_EQ(cell[1].value, 1001U);
  for (const int number : {2, -2})
    EXPECT_EQ(code_of([&] { memory().statistics(number); }), VIR_ERR_INVALID_ARG);
}

TEST_F(FakeNode, FreeMemoryOfCells) {
  EXPECT_EQ(memory().free_bytes(), 4096U * 1024);
  EXPECT_EQ(memory().cells_free(0, 1), (std::vector<std::uint64_t>{1000 * 1024}));
  EXPECT_EQ(memory().cells_free(0, 1024), (std::vector<std::uint64_t>{1000 * 1024, 1001 * 1024}));
  EXPECT_EQ(memory().cells_free(1, 2147483647), (std::vector<std::uint64_t>{1001 * 1024}));
  EXPECT_EQ(code_of([&] { memory().cells_free(2, 1); }), VIR_ERR_INTERNAL_ERROR);
  EXPECT_EQ(code_of([&] { memory().cells_free(-1, 1); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { memory().cells_free(0, 0); }), VIR_ERR_INVALID_ARG);
}

TEST_F(FakeNode, FreePages) {
  EXPECT_EQ(memory().free_pages({4, 2048}, 0, 2), (std::vector<std::uint64_t>{250, 3, 250, 4}));
  EXPECT_EQ(memory().free_pages({2048}, -1, 1), (std::vector<std::uint64_t>{7}));
  EXPECT_EQ(code_of([&] { memory().free_pages({1048576}, 0, 1); }), VIR_ERR_OPERATION_FAILED);
  EXPECT_EQ(code_of([&] { memory().free_pages({2048}, 5, 1); }), VIR_ERR_INTERNAL_ERROR);
  EXPECT_EQ(code_of([&] { memory().free_pages({}, 0, 1); }), VIR_ERR_INVALID_ARG);
}

TEST_F(FakeNode, PoolsOfHugePages) {
  const std::string pool = "sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages";
  EXPECT_EQ(memory().allocate_pages({{2048}, {3}, 1, 1}, false), 1);
  EXPECT_EQ(get(pool).substr(0, 1), "7");
  EXPECT_EQ(memory().allocate_pages({{2048}, {5}, 0, 2}, true), 2);
  EXPECT_EQ(get(pool).substr(0, 1), "5");
  EXPECT_EQ(code_of([&] { memory().allocate_pages({{4}, {5}, 0, 1}, true); }), VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(code_of([&] { memory().allocate_pages({{1234}, {5}, 0, 1}, true); }), VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(code_of([&] { memory().allocate_pages({{2048}, {5, 6}, 0, 1}, true); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { memory().allocate_pages({{2048}, {~std::uint64_t{0}}, 0, 1}, false); }),
            VIR_ERR_OVERFLOW);
}

TEST_F(FakeNode, PageMerging) {
  const TypedParameters parameters = memory().merging();
  ASSERT_EQ(parameters.size(), 8U);
  EXPECT_EQ(parameters[0].field, VIR_NODE_MEMORY_SHARED_PAGES_TO_SCAN);
  EXPECT_EQ(parameters[0].type(), VIR_TYPED_PARAM_UINT);
  EXPECT_EQ(parameters[6].field, VIR_NODE_MEMORY_SHARED_FULL_SCANS);
  EXPECT_EQ(parameters[6].type(), VIR_TYPED_PARAM_ULLONG);
  memory().set_merging({{VIR_NODE_MEMORY_SHARED_SLEEP_MILLISECS, std::uint32_t{250}}});
  EXPECT_EQ(get(std::string(kKsm) + "sleep_millisecs").substr(0, 3), "250");
}

TEST_F(FakeNode, MergingRefusesBeforeItWritesAnything) {
  const TypedParameter good{VIR_NODE_MEMORY_SHARED_SLEEP_MILLISECS, std::uint32_t{250}};
  fs::remove(root_ / kKsm / "merge_across_nodes");
  EXPECT_EQ(code_of([&] { memory().set_merging({good, {"shm_gold", std::uint32_t{1}}}); }),
            VIR_ERR_ARGUMENT_UNSUPPORTED);
  EXPECT_EQ(code_of([&] { memory().set_merging({good, {"shm_pages_shared", std::uint64_t{1}}}); }),
            VIR_ERR_ARGUMENT_UNSUPPORTED);
  EXPECT_EQ(code_of([&] { memory().set_merging({good, {"shm_pages_to_scan", std::int32_t{1}}}); }),
            VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { memory().set_merging({good, good}); }), VIR_ERR_INVALID_ARG);
  EXPECT_EQ(code_of([&] { memory().set_merging({good, {"shm_merge_across_nodes", std::uint32_t{1}}}); }),
            VIR_ERR_OPERATION_INVALID);
  EXPECT_EQ(get(std::string(kKsm) + "sleep_millisecs"), "1\n");
  EXPECT_EQ(memory().merging().size(), 7U);
}

TEST_F(FakeNode, AHostWithoutNumaIsOneCell) {
  fs::remove_all(root_ / "sys/devices/system/node");
  facts_.cells = {{.id = 0}};
  EXPECT_EQ(memory().cells_free(0, 5), (std::vector<std::uint64_t>{4096 * 1024}));
  EXPECT_EQ(memory().free_pages({2048}, 0, 1), (std::vector<std::uint64_t>{7}));
  EXPECT_EQ(memory().statistics(0).at(1).value, 4096U);
}

TEST_F(FakeNode, Sysinfo) {
  EXPECT_EQ(code_of([&] { format_sysinfo(root_); }), VIR_ERR_CONFIG_UNSUPPORTED);
  put("sys/class/dmi/id/bios_vendor", "SeaBIOS\n");
  put("sys/class/dmi/id/sys_vendor", "A & B <Inc>\n");
  put("sys/class/dmi/id/product_uuid", "6f9c1a54-1111-4000-8000-000000000001\n");
  put("sys/class/dmi/id/board_name",
      "\x01\xff"
      "board\n");
  put("sys/class/dmi/id/chassis_version", "\n");
  EXPECT_EQ(format_sysinfo(root_),
            "<sysinfo type='smbios'>\n"
            "  <bios>\n"
            "    <entry name='vendor'>SeaBIOS</entry>\n"
            "  </bios>\n"
            "  <system>\n"
            "    <entry name='manufacturer'>A &amp; B &lt;Inc&gt;</entry>\n"
            "    <entry name='uuid'>6f9c1a54-1111-4000-8000-000000000001</entry>\n"
            "  </system>\n"
            "  <baseBoard>\n"
            "    <entry name='product'>..board</entry>\n"
            "  </baseBoard>\n"
            "</sysinfo>\n");
}

}  // namespace
}  // namespace warren::driver::host
