// The host as it is found, and the documents that describe it.
#include "driver/config/capabilities.h"

#include <filesystem>
#include <fstream>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>

#include "driver/config/cpu_features.h"
#include "driver/config/domain_names.h"
#include "driver/config/domain_xml.h"
#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

CpuidLeaf fake_cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  CpuidLeaf result{.leaf = leaf, .subleaf = subleaf};
  if (leaf == 0) return {0, 0, 7, 0x68747541, 0x444d4163, 0x69746e65};  // AuthenticAMD
  if (leaf == 0x80000000) result.eax = 0x80000008;
  if (leaf == 1) result.eax = 0x00a20f10;  // family 25, model 33
  if (leaf == 0x80000008) result.eax = 48;
  for (const std::string_view name : model_features(*find_cpu_model("kvm64"))) {
    const CpuFeatureBit& bit = *find_cpu_feature(name);
    if (bit.leaf != leaf || bit.subleaf != subleaf) continue;
    std::uint32_t* const registers[] = {&result.eax, &result.ebx, &result.ecx, &result.edx};
    *registers[static_cast<int>(bit.output)] |= 1u << bit.bit;
  }
  return result;
}

// A host of two NUMA cells with two cores of two threads each, below a directory.
class FakeHost : public testing::Test {
 protected:
  FakeHost() {
    char name[] = "/tmp/warren-host-XXXXXX";
    root_ = ::mkdtemp(name);
    put("sys/class/dmi/id/product_uuid", "6f9c1a54-1111-4000-8000-000000000001\n");
    put("proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\n");
    put("proc/cpuinfo", "processor\t: 0\nmicrocode\t: 0xa201016\n");
    put("sys/devices/system/node/online", "0-1\n");
    for (int node = 0; node < 2; ++node) {
      const std::string directory = "sys/devices/system/node/node" + std::to_string(node) + "/";
      put(directory + "meminfo", "Node 0 MemTotal:       8388608 kB\n");
      put(directory + "distance", node == 0 ? "10 20\n" : "20 10\n");
      put(directory + "cpulist", node == 0 ? "0-3\n" : "4-7\n");
      put(directory + "hugepages/hugepages-2048kB/nr_hugepages", "4\n");
    }
    for (int cpu = 0; cpu < 8; ++cpu) {
      const std::string directory = "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
      put(directory + "physical_package_id", std::to_string(cpu / 4));
      put(directory + "die_id", "0");
      put(directory + "core_id", std::to_string(cpu % 4 / 2));
      put(directory + "thread_siblings_list",
          std::to_string(cpu / 2 * 2) + "-" + std::to_string(cpu / 2 * 2 + 1) + "\n");
    }
  }
  ~FakeHost() override { fs::remove_all(root_); }

  void put(const std::string& path, std::string_view text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  HostFacts facts() const {
    HostFacts facts = gather_host_facts(root_, fake_cpuid);
    facts.emulator = "/usr/libexec/warren-vmm";
    facts.kvm = true;
    facts.kvm_cpuid = facts.host_cpuid;
    facts.kvm_maximum_vcpus = 1024;
    return facts;
  }

  fs::path root_;
};

TEST_F(FakeHost, FactsAreRead) {
  const HostFacts host = facts();
  EXPECT_EQ(host.uuid->to_string(), "6f9c1a54-1111-4000-8000-000000000001");
  EXPECT_EQ(host.memory_kib, 16777216u);
  EXPECT_EQ(host.microcode, 0xa201016u);
  ASSERT_EQ(host.cells.size(), 2u);
  EXPECT_EQ(host.cells[1].cpus.size(), 4u);
  EXPECT_EQ(host.cells[1].cpus[2].siblings, "6-7");
  EXPECT_EQ(host.cells[0].pages[0].count, (8388608u - 4 * 2048) / 4);
  EXPECT_EQ(host.cells[0].pages[1].size_kib, 2048u);
  EXPECT_EQ(host.sockets, 1u);
  EXPECT_EQ(host.cores, 2u);
  EXPECT_EQ(host.threads, 2u);
}

TEST_F(FakeHost, NothingThereIsNoError) {
  const HostFacts host = gather_host_facts(root_ / "empty", fake_cpuid);
  EXPECT_FALSE(host.kvm);
  EXPECT_FALSE(host.uuid);
  ASSERT_EQ(host.cells.size(), 1u);
  EXPECT_THAT(format_capabilities(host), Not(HasSubstr("<guest>")));
}

TEST_F(FakeHost, StrangeContentIsNoError) {
  put("sys/devices/system/node/online", "0-99999999999,x,-,3-1,,");
  put("sys/devices/system/node/node0/distance", "ten");
  put("proc/meminfo", "MemTotal: -5 kB");
  put("sys/devices/system/node/node0/hugepages/hugepages-xkB/nr_hugepages", "1");
  put("sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages", "99999999999999999999");
  EXPECT_NO_THROW(format_capabilities(facts()));
}

TEST_F(FakeHost, CachesThatCpusShareAreListedOnce) {
  for (int cpu = 0; cpu < 4; ++cpu) {
    const std::string cache = "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/cache/";
    put(cache + "index0/level", "1\n");
    put(cache + "index3/level", "3\n");
    put(cache + "index3/id", std::to_string(cpu / 2) + "\n");
    put(cache + "index3/type", "Unified\n");
    put(cache + "index3/size", cpu < 2 ? "32768K\n" : "1536K\n");
    put(cache + "index3/shared_cpu_list", cpu < 2 ? "0-1\n" : "2-3\n");
  }
  put("sys/devices/system/cpu/online", "0-7\n");
  put("sys/kernel/iommu_groups/0/type", "DMA\n");
  const std::string text = format_capabilities(facts());
  EXPECT_THAT(text, HasSubstr("    <cache>\n"
                              "      <bank id='0' level='3' type='both' size='32' unit='MiB' cpus='0-1'/>\n"
                              "      <bank id='1' level='3' type='both' size='1536' unit='KiB' cpus='2-3'/>\n"
                              "    </cache>\n"));
  EXPECT_THAT(text, HasSubstr("<iommu support='yes'/>"));
}

TEST_F(FakeHost, Capabilities) {
  const std::string text = format_capabilities(facts());
  EXPECT_THAT(text, HasSubstr("<signature family='25' model='33' stepping='0'/>"));
  EXPECT_THAT(text, HasSubstr("<model>kvm64</model>"));
  EXPECT_THAT(text, HasSubstr("<machine canonical='q35' maxCpus='255'>pc</machine>"));
  EXPECT_THAT(text, HasSubstr("<domain type='kvm'/>"));
  EXPECT_THAT(text, HasSubstr("<cells num='2'>"));
}

TEST_F(FakeHost, DomainCapabilitiesAreTrueToTheParser) {
  const std::string text = format_domain_capabilities(facts(), "", "", "", "");
  EXPECT_THAT(text, HasSubstr("<vcpu max='255'/>"));
  for (const auto& entry : names::kRngBackend.accepted)
    EXPECT_THAT(text, HasSubstr("<value>" + std::string(entry.name) + "</value>"));
  EXPECT_THAT(text, HasSubstr("<value>memfd</value>"));
  EXPECT_THAT(text, HasSubstr("<enum name='bus'>\n"));
  EXPECT_THAT(text, HasSubstr("<value>virtio</value>"));
  // What it says is not supported is refused, whatever the element holds.
  for (const char* device : {"graphics", "video", "hostdev", "filesystem", "tpm", "redirdev", "channel"}) {
    if (text.find("<" + std::string(device) + " supported='no'/>") == std::string::npos) continue;
    const std::string xml =
        "<domain type='kvm'><name>d</name><memory>1024</memory><os><type>hvm</type><kernel>/k</kernel>"
        "</os><devices><" +
        std::string(device) + "/></devices></domain>";
    EXPECT_THROW(parse_domain(xml), Error) << device;
  }
  EXPECT_THAT(text, HasSubstr("<model usable='yes' vendor='unknown'>kvm64</model>"));
  EXPECT_THAT(text, HasSubstr("<model usable='no' vendor='Intel'>Haswell</model>"));
}

TEST_F(FakeHost, DomainCapabilitiesOfWhatThereIsNot) {
  const HostFacts host = facts();
  EXPECT_EQ(format_domain_capabilities(host, host.emulator, "x86_64", "pc", "kvm"),
            format_domain_capabilities(host, "", "", "", ""));
  EXPECT_THROW(format_domain_capabilities(host, "/usr/bin/qemu-system-x86_64", "", "", ""), Error);
  EXPECT_THROW(format_domain_capabilities(host, "", "aarch64", "", ""), Error);
  EXPECT_THROW(format_domain_capabilities(host, "", "", "microvm", ""), Error);
  EXPECT_THROW(format_domain_capabilities(host, "", "", "", "qemu"), Error);
}

bool validates(const std::string& xml, const char* path) {
  std::unique_ptr<xmlRelaxNGParserCtxt, void (*)(xmlRelaxNGParserCtxtPtr)> parser(
      xmlRelaxNGNewParserCtxt(path), xmlRelaxNGFreeParserCtxt);
  std::unique_ptr<xmlRelaxNG, void (*)(xmlRelaxNGPtr)> schema(xmlRelaxNGParse(parser.get()), xmlRelaxNGFree);
  std::unique_ptr<xmlDoc, void (*)(xmlDocPtr)> document(
      xmlReadMemory(xml.data(), static_cast<int>(xml.size()), "document", nullptr, XML_PARSE_NONET),
      xmlFreeDoc);
  std::unique_ptr<xmlRelaxNGValidCtxt, void (*)(xmlRelaxNGValidCtxtPtr)> validator(
      xmlRelaxNGNewValidCtxt(schema.get()), xmlRelaxNGFreeValidCtxt);
  return document && xmlRelaxNGValidateDoc(validator.get(), document.get()) == 0;
}

TEST_F(FakeHost, BothValidateAgainstLibvirtsSchemas) {
  constexpr char kCapabilities[] = "/usr/share/libvirt/schemas/capability.rng";
  constexpr char kDomainCapabilities[] = "/usr/share/libvirt/schemas/domaincaps.rng";
  if (!fs::exists(kCapabilities)) GTEST_SKIP() << kCapabilities << " is not installed (package libvirt0)";
  for (const HostFacts& host : {facts(), gather_host_facts()}) {
    // libvirt's schema of capabilities has no dot in the names of features, which its own documents have.
    std::string capabilities = format_capabilities(host);
    for (std::size_t at; (at = capabilities.find("'sse4.")) != std::string::npos;)
      capabilities.erase(at + 5, 1);
    EXPECT_TRUE(validates(capabilities, kCapabilities)) << capabilities;
    HostFacts with_emulator = host;
    with_emulator.emulator = "/usr/libexec/warren-vmm";
    const std::string text = format_domain_capabilities(with_emulator, "", "", "", "");
    EXPECT_TRUE(validates(text, kDomainCapabilities)) << text;
  }
}

}  // namespace
}  // namespace warren::driver::config
