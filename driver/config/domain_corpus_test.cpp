// Warren's normalization beside that of libvirt's qemu driver, on tests/corpora/domain-xml.
//
// NAME.libvirt.xml is what libvirt 9.0.0 made of NAME.xml (see `record` there). Where Warren means to differ,
// kDifferences says so and why; any other difference, and a difference that is there no longer, fails.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <libxml/parser.h>
#include <libxml/relaxng.h>

#include "driver/config/domain_defaults.h"
#include "driver/config/domain_xml.h"

namespace warren::driver::config {
namespace {

namespace fs = std::filesystem;

struct Difference {
  const char* prefix;  // of a line of flatten(), with who has it: "libvirt " or "warren "
  const char* reason;
};

constexpr Difference kDifferences[] = {
    {"libvirt /domain/os/type/@machine=pc-q35-7.2", "Warren has one q35 and no versions of it yet"},
    {"warren /domain/os/type/@machine=q35", "see above"},
    {"libvirt /domain/devices/emulator=", "the worker is another program"},
    {"warren /domain/devices/emulator=", "see above"},
    {"libvirt /domain/cpu/@mode=custom",
     "without <cpu>, QEMU gives its own least model; Warren gives the host's"},
    {"libvirt /domain/cpu/@match=exact", "see above"},
    {"libvirt /domain/cpu/model/@fallback=forbid", "see above"},
    {"libvirt /domain/cpu/model=qemu64", "see above"},
    {"warren /domain/cpu/@mode=host-passthrough", "see above"},
    {"warren /domain/cpu/@migratable=on", "see above"},
    {"warren /domain/features/", "Warren's PC always has ACPI and an APIC, and says so"},
    {"libvirt /domain/devices/input{mouse", "Warren has no PS/2 mouse yet"},
    {"libvirt /domain/devices/audio", "Warren has no sound yet"},
    {"warren /domain/devices/console{1}/address",
     "Warren says which controller a virtio console is on at once"},
};

std::string read_file(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return std::move(text).str();
}

std::string_view view(const xmlChar* text) {
  return text ? reinterpret_cast<const char*>(text) : "";  // xmlChar is UTF-8
}

std::string attribute(xmlNodePtr node, const char* name) {
  xmlChar* value = xmlGetNoNsProp(node, reinterpret_cast<const xmlChar*>(name));  // xmlChar is UTF-8
  std::string text(view(value));
  xmlFree(value);
  return text;
}

// A name for a device that does not depend on the order of the devices of other types.
std::string device_key(xmlNodePtr node, std::map<std::string, int>& counts) {
  const std::string name(view(node->name));
  for (xmlNodePtr child = node->children; child; child = child->next) {
    if (name == "disk" && view(child->name) == "target") return attribute(child, "dev");
    if (name == "interface" && view(child->name) == "mac") return attribute(child, "address");
  }
  if (name == "controller") return attribute(node, "type") + attribute(node, "index");
  if (name == "input") return attribute(node, "type");
  return fmt::format("{}", counts[name]++);
}

// One line for each attribute and each text of a document.
void flatten(xmlNodePtr node, const std::string& path, std::multiset<std::string>& lines) {
  for (xmlAttrPtr at = node->properties; at; at = at->next)
    lines.insert(fmt::format("{}/@{}={}", path, view(at->name),
                             attribute(node, reinterpret_cast<const char*>(at->name))));
  bool leaf = true;
  std::string text;
  std::map<std::string, int> counts;
  for (xmlNodePtr child = node->children; child; child = child->next) {
    if (child->type == XML_TEXT_NODE) text += view(child->content);
    if (child->type != XML_ELEMENT_NODE) continue;
    leaf = false;
    std::string name(view(child->name));
    if (path == "/domain/devices" && name != "emulator")
      name.append("{").append(device_key(child, counts)).append("}");
    flatten(child, path + "/" + name, lines);
  }
  if (leaf && (!text.empty() || !node->properties)) lines.insert(path + "=" + text);
}

using Document = std::unique_ptr<xmlDoc, void (*)(xmlDocPtr)>;

Document read_document(const std::string& xml) {
  return Document(
      xmlReadMemory(xml.data(), static_cast<int>(xml.size()), "document", nullptr, XML_PARSE_NONET),
      xmlFreeDoc);
}

std::multiset<std::string> flatten(const std::string& xml) {
  const Document document = read_document(xml);
  std::multiset<std::string> lines;
  EXPECT_TRUE(document) << xml;
  if (document) flatten(xmlDocGetRootElement(document.get()), "/domain", lines);
  return lines;
}

std::vector<fs::path> inputs() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(DOMAIN_CORPUS))
    if (entry.path().extension() == ".xml" && entry.path().stem().extension() != ".libvirt")
      files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

HostFacts facts() {
  HostFacts facts;
  facts.emulator = "/usr/libexec/warren-vmm";
  return facts;
}

void fixed_bytes(std::span<std::uint8_t> bytes) {
  std::fill(bytes.begin(), bytes.end(), std::uint8_t{0x5a});
}

TEST(DomainCorpus, NormalizationIsLibvirtsButWhereItIsMeantToDiffer) {
  std::set<std::string> used;
  ASSERT_FALSE(inputs().empty());
  for (const fs::path& file : inputs()) {
    DomainDefinition definition = parse_domain(read_file(file));
    fill_defaults(definition, facts(), fixed_bytes);
    const auto ours = flatten(format_domain(definition, {.inactive = true}));
    const auto theirs = flatten(read_file(fs::path(file).replace_extension(".libvirt.xml")));
    std::vector<std::string> differences;
    const auto add = [&](const char* who, const auto& has, const auto& lacks) {
      std::vector<std::string> only;
      std::set_difference(has.begin(), has.end(), lacks.begin(), lacks.end(), std::back_inserter(only));
      for (const std::string& line : only) differences.push_back(fmt::format("{} {}", who, line));
    };
    add("libvirt", theirs, ours);
    add("warren", ours, theirs);
    for (const std::string& line : differences) {
      const auto known =
          std::find_if(std::begin(kDifferences), std::end(kDifferences),
                       [&](const Difference& entry) { return line.starts_with(entry.prefix); });
      if (known == std::end(kDifferences)) {
        ADD_FAILURE() << file.filename() << ": " << line;
      } else {
        used.insert(known->prefix);
      }
    }
  }
  for (const Difference& entry : kDifferences)
    EXPECT_TRUE(used.contains(entry.prefix)) << "no longer a difference: " << entry.prefix;
}

TEST(DomainCorpus, T18ParseAfterFormatIsIdentity) {
  for (const fs::path& file : inputs()) {
    DomainDefinition definition = parse_domain(read_file(file));
    EXPECT_EQ(parse_domain(format_domain(definition)), definition) << file;
    fill_defaults(definition, facts(), fixed_bytes);
    const std::string text = format_domain(definition);
    EXPECT_EQ(parse_domain(text), definition) << file;
    EXPECT_EQ(format_domain(parse_domain(text)), text) << file;
    DomainDefinition again = definition;
    fill_defaults(again, facts(), fixed_bytes);
    EXPECT_EQ(again, definition) << "filling in defaults twice changes " << file;
  }
}

TEST(DomainCorpus, LiveXmlIsIdentityToo) {
  for (const fs::path& file : inputs()) {
    DomainDefinition definition = parse_domain(read_file(file));
    fill_defaults(definition, facts(), fixed_bytes);
    LiveResources resources{.id = 7};
    resources.serial_ptys.assign(definition.devices.serials.size(), "/dev/pts/3");
    resources.console_ptys.assign(definition.devices.consoles.size(), "/dev/pts/4");
    resources.channel_paths.assign(definition.devices.channels.size(), "");
    for (std::size_t i = 0; i < definition.devices.interfaces.size(); ++i)
      resources.interface_targets.push_back(definition.devices.interfaces[i].target.empty()
                                                ? fmt::format("vnet{}", i)
                                                : definition.devices.interfaces[i].target);
    assign_live(definition, resources);
    const std::string text = format_domain(definition);
    EXPECT_EQ(parse_domain(text, {.inactive = false}), definition) << file << text;
    EXPECT_NO_THROW(validate_domain_schema(text)) << file;
    // Restarted from its live XML, it is the domain it was.
    DomainDefinition persistent = parse_domain(text);
    EXPECT_FALSE(persistent.id);
  }
}

class LibvirtSchema : public testing::Test {
 protected:
  static constexpr char kPath[] = "/usr/share/libvirt/schemas/domain.rng";
  void SetUp() override {
    if (!fs::exists(kPath)) GTEST_SKIP() << kPath << " is not installed (package libvirt0)";
    std::unique_ptr<xmlRelaxNGParserCtxt, void (*)(xmlRelaxNGParserCtxtPtr)> parser(
        xmlRelaxNGNewParserCtxt(kPath), xmlRelaxNGFreeParserCtxt);
    schema_.reset(xmlRelaxNGParse(parser.get()));
    ASSERT_TRUE(schema_);
  }
  bool validates(const std::string& xml) const {
    const Document document = read_document(xml);
    std::unique_ptr<xmlRelaxNGValidCtxt, void (*)(xmlRelaxNGValidCtxtPtr)> validator(
        xmlRelaxNGNewValidCtxt(schema_.get()), xmlRelaxNGFreeValidCtxt);
    return document && xmlRelaxNGValidateDoc(validator.get(), document.get()) == 0;
  }
  std::unique_ptr<xmlRelaxNG, void (*)(xmlRelaxNGPtr)> schema_{nullptr, xmlRelaxNGFree};
};

TEST_F(LibvirtSchema, EverythingFormattedValidatesThereAndHere) {
  for (const fs::path& file : inputs()) {
    EXPECT_NO_THROW(validate_domain_schema(read_file(file))) << file;
    DomainDefinition definition = parse_domain(read_file(file));
    fill_defaults(definition, facts(), fixed_bytes);
    const std::string text = format_domain(definition);
    EXPECT_TRUE(validates(text)) << text;
    EXPECT_NO_THROW(validate_domain_schema(text)) << text;
  }
}

}  // namespace
}  // namespace warren::driver::config
