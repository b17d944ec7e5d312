// parse_domain() and format_domain(): what is taken, what is refused and in which words (T18).
#include "driver/config/domain_xml.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/contract/error.h"

namespace warren::driver::config {
namespace {

using testing::HasSubstr;

std::string domain(std::string_view devices = "", std::string_view more = "") {
  return fmt::format(
      "<domain type='kvm'>\n<name>d</name>\n<memory>65536</memory>\n"
      "<os><type arch='x86_64' machine='q35'>hvm</type><kernel>/k</kernel></os>\n{}\n<devices>{}</devices>\n"
      "</domain>\n",
      more, devices);
}

struct Refusal {
  int code = 0;
  std::string message;
};

Refusal refusal(std::string_view xml, const ParseOptions& options = {}) {
  try {
    parse_domain(xml, options);
  } catch (const Error& error) {
    return {error.code(), error.message()};
  }
  return {0, "accepted"};
}

TEST(DomainXml, MinimalDomain) {
  const DomainDefinition definition = parse_domain(domain());
  EXPECT_EQ(definition.name, "d");
  EXPECT_EQ(definition.memory.maximum_kib, 65536u);
  EXPECT_EQ(definition.memory.current_kib, 65536u);
  EXPECT_EQ(definition.vcpu.maximum, 1u);
  EXPECT_EQ(definition.os.kernel, "/k");
  EXPECT_FALSE(definition.uuid);
}

TEST(DomainXml, MachineNamesOfExistingDomainsBecomeQ35) {
  for (const char* machine : {"pc", "q35", "pc-i440fx-7.2", "pc-q35-8.1", "pc-0.12", "pc-1.0"}) {
    std::string xml = domain();
    xml.replace(xml.find("'q35'"), 5, fmt::format("'{}'", machine));
    EXPECT_EQ(parse_domain(xml, {.validate = true}).os.machine, "q35") << machine;
  }
  std::string xml = domain();
  xml.replace(xml.find("'q35'"), 5, "'microvm'");
  const Refusal refused = refusal(xml);
  EXPECT_EQ(refused.code, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(refused.message, HasSubstr("/domain/os/type/@machine"));
  EXPECT_THAT(refused.message, HasSubstr("microvm"));
}

TEST(DomainXml, MemoryUnits) {
  const auto kib = [](std::string_view memory) {
    std::string xml = domain();
    xml.replace(xml.find("<memory>65536</memory>"), 22, memory);
    return parse_domain(xml).memory.maximum_kib;
  };
  EXPECT_EQ(kib("<memory unit='MiB'>512</memory>"), 524288u);
  EXPECT_EQ(kib("<memory unit='GB'>1</memory>"), 976563u);
  EXPECT_EQ(kib("<memory unit='b'>1025</memory>"), 2u);
  EXPECT_EQ(kib("<memory unit='k'>1024</memory>"), 1024u);
  EXPECT_EQ(kib("<memory> 70000 </memory>"), 70000u);
}

TEST(DomainXml, NumaCellsSayHowMuchMemoryThereIsAndTakeEveryVcpu) {
  const DomainDefinition definition = parse_domain(
      domain("",
             "<vcpu>4</vcpu><cpu><numa><cell id='1' cpus='2' memory='64' unit='MiB'><distances>"
             "<sibling id='0' value='31'/></distances></cell><cell id='0' cpus='0' memory='32' unit='MiB'/>"
             "</numa></cpu>"));
  EXPECT_EQ(definition.memory.maximum_kib, 96u << 10);
  EXPECT_EQ(definition.memory.current_kib, 96u << 10);
  const auto& cells = definition.cpu->numa;
  ASSERT_EQ(cells.size(), 2u);
  EXPECT_EQ(cells[0].cpus.to_string(), "0-1,3");
  EXPECT_EQ(cells[1].cpus.to_string(), "2");
  EXPECT_EQ(numa_distance(cells, 0, 0), 10);
  EXPECT_EQ(numa_distance(cells, 0, 1), 31);
  EXPECT_EQ(parse_domain(format_domain(definition)), definition);
}

TEST(DomainXml, T18UnitOverflowIsAnError) {
  std::string xml = domain();
  xml.replace(xml.find("<memory>65536</memory>"), 22, "<memory unit='EiB'>16</memory>");
  const Refusal refused = refusal(xml);
  EXPECT_EQ(refused.code, VIR_ERR_XML_ERROR);
  EXPECT_THAT(refused.message, HasSubstr("/domain/memory"));
  EXPECT_THAT(refused.message, HasSubstr("line 3"));
}

struct Case {
  const char* name;
  std::string xml;
  int code;
  const char* path;
  const char* words;
};

class Refused : public testing::TestWithParam<Case> {};

TEST_P(Refused, NamesElementAndReason) {
  const Refusal refused = refusal(GetParam().xml);
  EXPECT_EQ(refused.code, GetParam().code) << refused.message;
  EXPECT_THAT(refused.message, HasSubstr(GetParam().path));
  EXPECT_THAT(refused.message, HasSubstr(GetParam().words));
}

constexpr char kDisk[] = "<disk type='file'><source file='/a'/><target dev='vda'/></disk>";

INSTANTIATE_TEST_SUITE_P(
    DomainXml, Refused,
    testing::Values(
        Case{"video", domain("<video><model type='vga'/></video>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/video", "does not support this element"},
        Case{"graphics", domain("<graphics type='vnc'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/graphics", "line 6"},
        Case{"filesystem", domain("<filesystem/>"), VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/filesystem",
             ""},
        Case{"qemu_commandline",
             domain("", "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'/>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/q:commandline", ""},
        Case{"unknown_attribute",
             domain("<disk type='file' colour='red'><source file='/a'/><target dev='vda'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/@colour", "red"},
        Case{"balloon", domain("<memballoon model='xen'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/memballoon/@model", "virtio, none"},
        Case{"balloon_none_has_nothing", domain("<memballoon model='none' autodeflate='on'/>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/memballoon/@autodeflate", ""},
        Case{"vsock_model", domain("<vsock model='virtio-transitional'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/vsock/@model", "'virtio'"},
        Case{"vsock_driver", domain("<vsock model='virtio'><driver name='vfio'/></vsock>"), VIR_ERR_XML_ERROR,
             "/domain/devices/vsock/driver/@name", "qemu, vhost"},
        Case{"vsock_cid", domain("<vsock model='virtio'><cid auto='no' address='2'/></vsock>"),
             VIR_ERR_XML_ERROR, "/domain/devices/vsock/cid/@address", ">= 3"},
        Case{"vsock_any", domain("<vsock model='virtio'><cid address='4294967295'/></vsock>"),
             VIR_ERR_XML_ERROR, "/domain/devices/vsock/cid/@address", "out of range"},
        Case{"vsock_no_cid", domain("<vsock model='virtio'><cid auto='no'/></vsock>"), VIR_ERR_XML_ERROR,
             "/domain/devices/vsock/cid", "auto='no'"},
        Case{"vsock_twice", domain("<vsock model='virtio'/><vsock model='virtio'/>"), VIR_ERR_XML_ERROR,
             "/domain/devices/vsock", "one socket device"},
        Case{"watchdog_model", domain("<watchdog model='ib700' action='pause'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/watchdog/@model", "i6300esb, itco"},
        Case{"watchdog_twice", domain("<watchdog model='itco'/><watchdog model='itco'/>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/watchdog[2]", "one watchdog of each model"},
        Case{"watchdog_actions",
             domain("<watchdog model='itco'/><watchdog model='i6300esb' action='pause'/>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/watchdog[2]", "different actions"},
        Case{"watchdog_itco_address",
             domain("<watchdog model='itco'><address type='pci' bus='0' slot='5'/></watchdog>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/watchdog", "address"},
        Case{"watchdog_action", domain("<watchdog model='i6300esb' action='cry'/>"), VIR_ERR_XML_ERROR,
             "/domain/devices/watchdog/@action", "inject-nmi"},
        Case{"panic_model", domain("<panic model='hyperv'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/panic/@model", ""},
        Case{"panic_port", domain("<panic model='isa'><address type='isa' iobase='0x506'/></panic>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/panic/address/@iobase", "0x505"},
        Case{"two_panics", domain("<panic/><panic/>"), VIR_ERR_XML_ERROR, "/domain/devices/panic", "one"},
        Case{"genid", domain("", "<genid>no-uuid</genid>"), VIR_ERR_XML_ERROR, "/domain/genid", "UUID"},
        Case{"balloon_period", domain("<memballoon model='virtio'><stats period='0'/></memballoon>"),
             VIR_ERR_XML_ERROR, "/domain/devices/memballoon/stats/@period", ""},
        Case{"vdpa", domain("<interface type='vdpa'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/interface/@type", "'vdpa' is not supported by Warren"},
        Case{"network_without_name", domain("<interface type='network'/>"), VIR_ERR_XML_ERROR,
             "/domain/devices/interface", "<source network='…'/> is missing"},
        Case{"floor_of_a_bridge",
             domain("<interface type='bridge'><source bridge='br0'/><bandwidth><inbound average='9' "
                    "floor='3'/></bandwidth></interface>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/interface/bandwidth/inbound/@floor", "floor"},
        Case{"isolated_macvtap",
             domain("<interface type='direct'><source dev='eth0'/><port isolated='yes'/></interface>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/interface", "type bridge and network"},
        Case{"interface_nonsense", domain("<interface type='wire'/>"), VIR_ERR_XML_ERROR,
             "/domain/devices/interface/@type", "'wire' is not a value"},
        Case{"second_disk_named", domain(std::string(kDisk) + "<disk type='nvme'/>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk[2]/@type", "'nvme'"},
        Case{"disk_bus", domain("<disk type='file'><source file='/a'/><target dev='sda' bus='usb'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/target/@bus", "'usb'"},
        Case{"disk_lun",
             domain("<disk type='block' device='lun'><source dev='/dev/a'/><target dev='sda' "
                    "bus='scsi'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/@device", "'lun'"},
        Case{"scsi_iothread",
             domain("<disk type='file'><driver iothread='1'/><source file='/a'/><target dev='sda' "
                    "bus='scsi'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/driver/@iothread", "its controller"},
        Case{"scsi_queues",
             domain("<disk type='file'><driver queues='2'/><source file='/a'/><target dev='sda' "
                    "bus='scsi'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/driver/@queues", "only virtio disks"},
        Case{"scsi_target",
             domain("<disk type='file'><source file='/a'/><target dev='sda' bus='scsi'/>"
                    "<address type='drive' target='256'/></disk>"),
             VIR_ERR_XML_ERROR, "/domain/devices/disk/address/@target", ""},
        Case{"scsi_unit",
             domain("<disk type='file'><source file='/a'/><target dev='sda' bus='scsi'/>"
                    "<address type='drive' unit='16384'/></disk>"),
             VIR_ERR_XML_ERROR, "/domain/devices/disk/address/@unit", ""},
        Case{"scsi_wwn",
             domain("<disk type='file'><source file='/a'/><target dev='sda' bus='scsi'/>"
                    "<wwn>5000c50015ea71a</wwn></disk>"),
             VIR_ERR_XML_ERROR, "/domain/devices/disk/wwn", "16 hexadecimal digits"},
        Case{"virtio_wwn",
             domain("<disk type='file'><source file='/a'/><target dev='vda' bus='virtio'/>"
                    "<wwn>5000c50015ea71aa</wwn></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/wwn", "SCSI"},
        Case{"scsi_vendor",
             domain("<disk type='file'><source file='/a'/><target dev='sda' bus='scsi'/>"
                    "<vendor>123456789</vendor></disk>"),
             VIR_ERR_XML_ERROR, "/domain/devices/disk/vendor", "more than 8 characters"},
        Case{"scsi_product",
             domain("<disk type='file'><source file='/a'/><target dev='sda' bus='scsi'/>"
                    "<product>a&#9;b</product></disk>"),
             VIR_ERR_XML_ERROR, "/domain/devices/disk/product", "not printable"},
        Case{"sata_product",
             domain("<disk type='file'><source file='/a'/><target dev='sda' bus='sata'/>"
                    "<product>a</product></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/product", "only SCSI"},
        Case{"rotation",
             domain("<disk type='file'><source file='/a'/><target dev='sda' bus='scsi' "
                    "rotation_rate='5'/></disk>"),
             VIR_ERR_XML_ERROR, "/domain/devices/disk/target/@rotation_rate", "1025"},
        Case{"virtio_rotation",
             domain("<disk type='file'><source file='/a'/><target dev='vda' bus='virtio' "
                    "rotation_rate='1'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/target/@rotation_rate", "SCSI and SATA"},
        Case{"scsi_model", domain("<controller type='scsi' model='lsilogic'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/controller/@model", "'lsilogic'"},
        Case{"scsi_controller_queues", domain("<controller type='scsi'><driver queues='65'/></controller>"),
             VIR_ERR_XML_ERROR, "/domain/devices/controller/driver/@queues", ""},
        Case{"scsi_controller_iothread",
             domain("<controller type='scsi'><driver iothread='4'/></controller>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain", "IOThread 4"},
        Case{"disk_ide", domain("<disk type='file'><source file='/a'/><target dev='hda' bus='ide'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/target/@bus",
             "IDE controllers are unsupported"},
        Case{"sata_readonly",
             domain("<disk type='file'><source file='/a'/><target dev='sda' bus='sata'/><readonly/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/readonly", "readonly sata disks"},
        Case{"sata_iothread",
             domain("<disk type='file'><driver iothread='1'/><source file='/a'/><target dev='sda' "
                    "bus='sata'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/driver/@iothread", "IOThreads not available"},
        Case{"sata_blocks",
             domain("<disk type='file'><source file='/a'/><target dev='sda' bus='sata'/>"
                    "<blockio logical_block_size='4096' physical_block_size='4096'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/blockio/@logical_block_size", "512"},
        Case{"sata_unit",
             domain("<disk type='file'><source file='/a'/><target dev='sda' bus='sata'/>"
                    "<address type='drive' unit='6'/></disk>"),
             VIR_ERR_XML_ERROR, "/domain/devices/disk/address/@unit", ""},
        Case{"sata_without_source", domain("<disk type='file'><target dev='sda' bus='sata'/></disk>"),
             VIR_ERR_XML_ERROR, "/domain/devices/disk", "<source> is missing"},
        Case{"disk_policy",
             domain(
                 "<disk type='file'><source file='/a' startupPolicy='requisite'/><target dev='vda'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/source/@startupPolicy",
             "only for a CD/DVD drive"},
        Case{"floppy",
             domain("<disk type='file' device='floppy'><source file='/a'/><target dev='fda'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/@device", "'floppy'"},
        Case{"disk_bus_by_name", domain("<disk type='file'><source file='/a'/><target dev='hda'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/target/@dev", "another bus"},
        Case{"disk_format",
             domain("<disk type='file'><driver type='vmdk'/><source file='/a'/><target dev='vda'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/driver/@type", "'vmdk'"},
        Case{"cdrom",
             domain("<disk type='file' device='cdrom'><source file='/a'/><target dev='vda'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/@device", "ejectable media"},
        Case{"disk_duplicate_target", domain(std::string(kDisk) + kDisk), VIR_ERR_XML_ERROR,
             "/domain/devices/disk[2]", "'vda'"},
        Case{"disk_relative", domain("<disk type='file'><source file='a.img'/><target dev='vda'/></disk>"),
             VIR_ERR_XML_ERROR, "/domain/devices/disk/source/@file", "absolute"},
        Case{"disk_serial",
             domain("<disk type='file'><source file='/a'/><target dev='vda'/>"
                    "<serial>123456789012345678901</serial></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/disk/serial", "20"},
        Case{"queues",
             domain("<disk type='file'><driver queues='0'/><source file='/a'/><target dev='vda'/></disk>"),
             VIR_ERR_XML_ERROR, "/domain/devices/disk/driver/@queues", "from 1 to 256"},
        Case{
            "queue_size",
            domain("<disk type='file'><driver queue_size='3'/><source file='/a'/><target dev='vda'/></disk>"),
            VIR_ERR_XML_ERROR, "@queue_size", "power of two"},
        Case{"iothread",
             domain("<disk type='file'><driver iothread='1'/><source file='/a'/><target dev='vda'/></disk>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain", "IOThread 1, which there is not"},
        Case{"emulated_nic",
             domain("<interface type='bridge'><source bridge='br0'/><model type='e1000'/></interface>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/interface/model/@type", "'e1000'"},
        Case{"multicast", domain("<interface type='ethernet'><mac address='01:00:5e:00:00:01'/></interface>"),
             VIR_ERR_XML_ERROR, "/domain/devices/interface/mac/@address", "multicast"},
        Case{"bridge_name", domain("<interface type='bridge'><source bridge='../etc'/></interface>"),
             VIR_ERR_XML_ERROR, "/domain/devices/interface/source/@bridge", "network interface"},
        Case{"serial_tcp", domain("<serial type='tcp'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/serial/@type", "'tcp'"},
        Case{"channel", domain("<channel type='spicevmc'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/channel/@type", "spicevmc"},
        Case{"usb", domain("<controller type='usb' model='qemu-xhci'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/controller/@model", "'none'"},
        Case{"ide", domain("<controller type='ide'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/controller/@type", "'ide'"},
        Case{"rng_path", domain("<rng model='virtio'><backend model='random'>/dev/hwrng</backend></rng>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/rng/backend", "/dev/urandom"},
        Case{"rng_egd", domain("<rng model='virtio'><backend model='egd'/></rng>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/rng/backend/@model", "'egd'"},
        Case{"mouse", domain("<input type='mouse' bus='ps2'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/input", "PS/2 keyboard"},
        Case{"usb_tablet", domain("<input type='tablet' bus='usb'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/devices/input/@bus", "'usb'"},
        Case{"tablet", domain("<input type='tablet'/>"), VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/input",
             "USB"},
        Case{"evdev_bus",
             domain("<input type='evdev' bus='virtio'><source dev='/dev/input/event0'/></input>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/input/@bus", "'virtio'"},
        Case{"evdev_source", domain("<input type='evdev'/>"), VIR_ERR_XML_ERROR, "/domain/devices/input",
             "<source dev="},
        Case{"evdev_toggle",
             domain("<input type='evdev'><source dev='/dev/input/event0' grabToggle='none'/></input>"),
             VIR_ERR_XML_ERROR, "/domain/devices/input/source/@grabToggle", "ctrl-ctrl"},
        Case{"no_bus", domain("<input type='mouse' bus='none'/>"), VIR_ERR_XML_ERROR,
             "/domain/devices/input/@bus", "evdev"},
        Case{"input_transitional", domain("<input type='mouse' bus='virtio' model='virtio-transitional'/>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/input/@model", "'virtio-transitional'"},
        Case{"ps2_model", domain("<input type='keyboard' bus='ps2' model='virtio'/>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/input/@model", "bus 'virtio'"},
        Case{"no_evdev", domain("<input type='passthrough' bus='virtio'/>"), VIR_ERR_XML_ERROR,
             "/domain/devices/input", "evdev"},
        Case{"two_keyboards", domain("<input type='keyboard'/><input type='keyboard' bus='ps2'/>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices", "one PS/2 keyboard"},
        Case{"evdev_twice",
             domain("<input type='passthrough' bus='virtio'><source evdev='/dev/input/event0'/></input>"
                    "<input type='passthrough' bus='virtio'><source evdev='/dev/input/event0'/></input>"),
             VIR_ERR_XML_ERROR, "/domain/devices", "/dev/input/event0"},
        Case{"pci_slot",
             domain("<rng model='virtio'><backend model='random'/>"
                    "<address type='pci' slot='0x20'/></rng>"),
             VIR_ERR_XML_ERROR, "/domain/devices/rng/address/@slot", "out of range"},
        Case{"pci_segment",
             domain("<rng model='virtio'><backend model='random'/>"
                    "<address type='pci' domain='1' slot='0'/></rng>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/devices/rng/address/@domain", "segment"},
        Case{"two_names", domain("", "<name>e</name>"), VIR_ERR_XML_ERROR, "/domain/name[2]", "only one"},
        Case{"stray_text", domain("hello"), VIR_ERR_XML_ERROR, "/domain/devices", "no text"},
        Case{"vcpus", domain("", "<vcpu>256</vcpu>"), VIR_ERR_CONFIG_UNSUPPORTED, "/domain/vcpu", "255"},
        Case{"no_vcpus", domain("", "<vcpu>0</vcpu>"), VIR_ERR_XML_ERROR, "/domain/vcpu", "'0'"},
        Case{"vcpu_current", domain("", "<vcpu current='3'>2</vcpu>"), VIR_ERR_XML_ERROR,
             "/domain/vcpu/@current", ""},
        Case{"vcpu_cpuset", domain("", "<vcpu cpuset='0-'>2</vcpu>"), VIR_ERR_XML_ERROR,
             "/domain/vcpu/@cpuset", "list of CPUs"},
        Case{"pin_twice",
             domain("",
                    "<vcpu>2</vcpu><cputune><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='0' "
                    "cpuset='1'/></cputune>"),
             VIR_ERR_XML_ERROR, "/domain/cputune/vcpupin[2]", "two for vcpu 0"},
        Case{"period", domain("", "<vcpu>2</vcpu><cputune><period>5</period></cputune>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/cputune/period", "1000 to 1000000"},
        Case{"scheduler",
             domain("", "<vcpu>2</vcpu><cputune><vcpusched vcpus='0' scheduler='fifo'/></cputune>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/cputune/vcpusched", ""},
        Case{"perf_event", domain("", "<vcpu>2</vcpu><perf><event name='warp' enabled='yes'/></perf>"),
             VIR_ERR_XML_ERROR, "/domain/perf/event/@name", "'warp'"},
        Case{"topology", domain("", "<vcpu>3</vcpu><cpu><topology sockets='1' cores='2' threads='1'/></cpu>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/cpu", "2 CPUs, but the domain has 3"},
        Case{"cpu_model", domain("", "<cpu><model>PDP-11</model></cpu>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/cpu/model", "PDP-11"},
        Case{"cpu_feature", domain("", "<cpu mode='host-model'><feature name='warp'/></cpu>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/cpu/feature/@name", "warp"},
        Case{"cpu_feature_twice",
             domain("", "<cpu mode='host-model'><feature name='avx'/><feature name='avx'/></cpu>"),
             VIR_ERR_XML_ERROR, "/domain/cpu/feature[2]", "more than once"},
        Case{"numa_empty", domain("", "<cpu><numa/></cpu>"), VIR_ERR_XML_ERROR, "/domain/cpu/numa",
             "no <cell>"},
        Case{"numa_vcpu", domain("", "<cpu><numa><cell cpus='1' memory='1024'/></numa></cpu>"),
             VIR_ERR_XML_ERROR, "/domain/cpu/numa", "has 1"},
        Case{"numa_vcpu_twice",
             domain("",
                    "<vcpu>2</vcpu><cpu><numa><cell cpus='0-1' memory='1024'/><cell cpus='1' memory='1024'/>"
                    "</numa></cpu>"),
             VIR_ERR_XML_ERROR, "/domain/cpu/numa", "two cells"},
        Case{
            "numa_distance",
            domain("",
                   "<cpu><numa><cell memory='1024'><distances><sibling id='0' value='11'/></distances></cell>"
                   "</numa></cpu>"),
            VIR_ERR_XML_ERROR, "/domain/cpu/numa/cell/distances/sibling/@value", "10 from itself"},
        Case{"hyperv", domain("", "<features><hyperv><wings/></hyperv></features>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/features/hyperv/wings", ""},
        Case{"hpet", domain("", "<clock offset='utc'><timer name='hpet'/></clock>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/clock/timer", "hpet"},
        Case{"absolute_clock", domain("", "<clock offset='absolute' start='253402300800'/>"),
             VIR_ERR_XML_ERROR, "/domain/clock/@start", "1970"},
        Case{"absolute_clock_without_a_start", domain("", "<clock offset='absolute'/>"), VIR_ERR_XML_ERROR,
             "/domain/clock", "start"},
        Case{"merge", domain("", "<clock offset='utc'><timer name='rtc' tickpolicy='merge'/></clock>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/clock/timer/@tickpolicy", "merge"},
        Case{"pit_catchup",
             domain("", "<clock offset='utc'><timer name='pit' tickpolicy='catchup'/></clock>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/clock/timer/@tickpolicy", "discard"},
        Case{"huge_page_size",
             domain("", "<memoryBacking><hugepages><page size='4' unit='KiB'/></hugepages></memoryBacking>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/memoryBacking/hugepages/page/@size", "2 MiB"},
        Case{"huge_page_multiple",
             domain("", "<memoryBacking><hugepages><page size='1' unit='G'/></hugepages></memoryBacking>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/memoryBacking", "multiple"},
        Case{"locked", domain("", "<memoryBacking><locked/></memoryBacking>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/memoryBacking/locked", ""},
        Case{"private", domain("", "<memoryBacking><access mode='private'/></memoryBacking>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/memoryBacking/access/@mode", "private"},
        Case{"sysinfo_fwcfg", domain("", "<sysinfo type='fwcfg'/>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/sysinfo/@type", "fwcfg"},
        Case{"sysinfo_entry",
             domain("", "<sysinfo type='smbios'><bios><entry name='x'>1</entry></bios></sysinfo>"),
             VIR_ERR_CONFIG_UNSUPPORTED, "/domain/sysinfo/bios/entry/@name", "release"},
        Case{
            "sysinfo_date",
            domain("", "<sysinfo type='smbios'><bios><entry name='date'>13/01/2024</entry></bios></sysinfo>"),
            VIR_ERR_XML_ERROR, "/domain/sysinfo/bios", "mm/dd"},
        Case{"sysinfo_uuid",
             domain("",
                    "<uuid>00000000-0000-4000-8000-000000000001</uuid><sysinfo type='smbios'><system>"
                    "<entry name='uuid'>00000000-0000-4000-8000-000000000002</entry></system></sysinfo>"),
             VIR_ERR_XML_ERROR, "/domain/sysinfo/system", "not the domain's"},
        Case{"coredump", domain("", "<on_reboot>coredump-restart</on_reboot>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/on_reboot", "coredump-restart"},
        Case{"rename", domain("", "<on_crash>rename-restart</on_crash>"), VIR_ERR_CONFIG_UNSUPPORTED,
             "/domain/on_crash", "rename-restart"},
        Case{"action_nonsense", domain("", "<on_crash>explode</on_crash>"), VIR_ERR_XML_ERROR,
             "/domain/on_crash", "explode"},
        Case{"uuid", domain("", "<uuid>no</uuid>"), VIR_ERR_XML_ERROR, "/domain/uuid", "'no'"},
        Case{"metadata_without_namespace", domain("", "<metadata><a/></metadata>"), VIR_ERR_XML_ERROR,
             "/domain/metadata", "namespace"},
        Case{"metadata_twice", domain("", "<metadata><a xmlns='urn:x'/><b xmlns='urn:x'/></metadata>"),
             VIR_ERR_XML_ERROR, "/domain/metadata", "urn:x"},
        Case{"boot_order",
             domain("<disk type='file'><source file='/a'/><target dev='vda'/><boot order='1'/></disk>"
                    "<disk type='file'><source file='/b'/><target dev='vdb'/><boot order='1'/></disk>"),
             VIR_ERR_XML_ERROR, "/domain", "boot order 1"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(DomainXml, FirmwareBootIsRefusedByNamingOs) {
  std::string xml = domain();
  xml.replace(xml.find("<kernel>/k</kernel>"), 19, "");
  Refusal refused = refusal(xml);
  EXPECT_EQ(refused.code, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(refused.message, HasSubstr("/domain/os"));
  EXPECT_THAT(refused.message, HasSubstr("<kernel>"));
  xml = domain();
  xml.replace(xml.find("<kernel>"), 0, "<loader>/fw</loader>");
  refused = refusal(xml);
  EXPECT_EQ(refused.code, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(refused.message, HasSubstr("/domain/os/loader"));
}

TEST(DomainXml, OtherTypesAndRoots) {
  EXPECT_EQ(refusal("<domain type='qemu'/>").code, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_EQ(refusal("<domain/>").code, VIR_ERR_XML_ERROR);
  EXPECT_EQ(refusal("<network/>").code, VIR_ERR_XML_ERROR);
  EXPECT_THAT(refusal("<domain type='kvm'><memory>1</memory></domain>").message, HasSubstr("<name>"));
  for (const char* name : {"a/b", "a\nb", ""}) {
    EXPECT_EQ(refusal(fmt::format("<domain type='kvm'><name>{}</name></domain>", name)).code,
              VIR_ERR_XML_ERROR);
  }
}

TEST(DomainXml, NotWellFormed) {
  for (const char* xml : {"", "<", "<domain", "<domain></dom>", "<domain/><domain/>", "nonsense",
                          "<a b='1' b='2'/>", "<p:a/>", "<a>\xff</a>", "<a>&nothing;</a>", "<a>&#0;</a>"}) {
    const Refusal refused = refusal(xml);
    EXPECT_EQ(refused.code, VIR_ERR_XML_DETAIL) << xml << ": " << refused.message;
    EXPECT_THAT(refused.message, HasSubstr("(domain_definition):1: ")) << xml;
  }
}

TEST(DomainXml, T18EntitiesAndDocumentTypesAreRefused) {
  for (const char* xml : {"<!DOCTYPE domain [<!ENTITY a 'aaaa'>]><domain type='kvm'>&a;</domain>",
                          "<!DOCTYPE domain SYSTEM 'file:///etc/passwd'><domain/>",
                          "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><d>&x;</d>"}) {
    const Refusal refused = refusal(xml);
    EXPECT_EQ(refused.code, VIR_ERR_XML_ERROR) << refused.message;
    EXPECT_THAT(refused.message, HasSubstr("DOCTYPE"));
  }
}

TEST(DomainXml, T18DepthNodesAndSizeAreLimited) {
  std::string deep = "<domain type='kvm'>";
  for (int i = 0; i < 300; ++i) deep += "<a>";
  EXPECT_THAT(refusal(deep).message,
              testing::AnyOf(HasSubstr("deeper than 263"), HasSubstr("Excessive depth")));
  std::string wide = "<domain type='kvm'><metadata>";
  for (int i = 0; i < 60'000; ++i) wide += "<a/>";
  EXPECT_THAT(refusal(wide + "</metadata></domain>").message, HasSubstr("more than 50000"));
  EXPECT_THAT(refusal(std::string(5 << 20, ' ')).message, HasSubstr("bytes"));
  const std::string attribute = fmt::format("<domain type='kvm' a='{}'/>", std::string(3 << 20, 'x'));
  EXPECT_NE(refusal(attribute).code, 0);
}

TEST(DomainXml, T18NamespacesAreNotMultiplied) {
  std::string xml = fmt::format("<domain type='kvm' xmlns:a='urn:{}'><metadata>", std::string(1 << 20, 'x'));
  for (int i = 0; i < 100; ++i) xml += "<a:b/>";
  EXPECT_THAT(refusal(xml + "</metadata></domain>").message, HasSubstr("too long"));
}

TEST(DomainXml, MetadataIsKeptAsItIs) {
  const std::string xml = domain("",
                                 "<metadata><a:x xmlns:a='urn:a' k=\"1 &amp; '2'\"><!-- c --><y z='&#10;'>t "
                                 "&lt; u</y><![CDATA[<&]]></a:x>"
                                 "<o xmlns='urn:o'><p/></o></metadata>");
  const DomainDefinition definition = parse_domain(xml);
  ASSERT_EQ(definition.metadata.size(), 2u);
  EXPECT_EQ(definition.metadata[0].namespace_uri, "urn:a");
  EXPECT_EQ(
      definition.metadata[0].xml,
      "<a:x xmlns:a='urn:a' k='1 &amp; &apos;2&apos;'><!-- c --><y z='&#10;'>t &lt; u</y>&lt;&amp;</a:x>");
  EXPECT_EQ(definition.metadata[1].xml, "<o xmlns='urn:o'><p/></o>");
  EXPECT_EQ(parse_domain(format_domain(definition)), definition);
}

TEST(DomainXml, MetadataUsingANamespaceOfTheRootStandsAlone) {
  std::string xml = domain("", "<metadata><a:x a:k='1'><a:y/></a:x></metadata>");
  xml.replace(0, 8, "<domain xmlns:a='urn:a' ");
  const DomainDefinition definition = parse_domain(xml);
  ASSERT_EQ(definition.metadata.size(), 1u);
  EXPECT_EQ(definition.metadata[0].xml, "<a:x xmlns:a='urn:a' a:k='1'><a:y/></a:x>");
}

// As libvirt 9.0.0 was seen to keep and to give back what virsh metadata --set sent.
TEST(MetadataElement, SetPutsTheNamespaceOnAndGetTakesItOff) {
  const MetadataElement element =
      parse_metadata_element("<a><b c=\"1\"/><d xmlns=\"urn:d\"/></a>", "k", "urn:x");
  EXPECT_EQ(element.namespace_uri, "urn:x");
  EXPECT_EQ(element.xml, "<k:a xmlns:k='urn:x'><k:b c='1'/><d xmlns='urn:d'/></k:a>");
  EXPECT_EQ(metadata_content(element), "<a><b c=\"1\"/><d xmlns=\"urn:d\"/></a>");
  EXPECT_EQ(parse_metadata_element(metadata_content(element), "k", "urn:x"), element);
}

TEST(MetadataElement, RefusesWhatIsNotOneElement) {
  for (const char* xml : {"", "<a>", "<a/><b/>", "text", "<a/></metadata><metadata><b/>", "<!DOCTYPE a><a/>",
                          "<a xmlns:k='urn:other'/>", "<z:a xmlns:z='urn:z'/>"})
    EXPECT_THROW(parse_metadata_element(xml, "k", "urn:x"), Error) << xml;
  for (const char* prefix : {"", "a b", "1", "a:b", "xml", "xmlns", "a='1' b"})
    EXPECT_THROW(parse_metadata_element("<a/>", prefix, "urn:x"), Error) << prefix;
  EXPECT_THROW(parse_metadata_element("<a/>", "k", ""), Error);
}

TEST(DomainXml, LivePartsAreDroppedFromAPersistentDefinition) {
  const std::string xml = domain(
      "<disk type='file'><source file='/a' index='2'/><target dev='vda'/><alias name='virtio-disk0'/></disk>"
      "<interface type='ethernet'><target dev='vnet3'/><alias name='ua-mine'/></interface>"
      "<serial type='pty'><source path='/dev/pts/1'/></serial>"
      "<console type='pty' tty='/dev/pts/1'><source path='/dev/pts/1'/></console>");
  const DomainDefinition inactive = parse_domain(xml);
  EXPECT_EQ(inactive.devices.disks[0].info.alias, "");
  EXPECT_FALSE(inactive.devices.disks[0].source_index);
  EXPECT_EQ(inactive.devices.interfaces[0].target, "");
  EXPECT_EQ(inactive.devices.interfaces[0].info.alias, "ua-mine");
  EXPECT_EQ(inactive.devices.serials[0].backend.path, "");
  std::string with_id = xml;
  with_id.replace(0, 7, "<domain id='4'");
  EXPECT_EQ(parse_domain(with_id), inactive);
  EXPECT_EQ(parse_domain(xml, {.inactive = false}), inactive) << "it has no id, so it does not run";
  const DomainDefinition live = parse_domain(with_id, {.inactive = false});
  EXPECT_EQ(live.id, 4);
  EXPECT_EQ(live.devices.disks[0].info.alias, "virtio-disk0");
  EXPECT_EQ(live.devices.interfaces[0].target, "vnet3");
  EXPECT_EQ(live.devices.consoles[0].tty, "/dev/pts/1");
}

TEST(DomainXml, Channels) {
  const auto channel = [](const std::string& type, const std::string& source, const std::string& target) {
    return domain(
        fmt::format("<channel type='{}'>{}<target type='virtio' {}/></channel>", type, source, target));
  };
  EXPECT_NO_THROW(validate_domain_schema(channel("unix", "<source mode='bind' path='/a'/>", "name='n'")));
  const Refusal spice = refusal(channel("spicevmc", "", "name='com.redhat.spice.0'"));
  EXPECT_EQ(spice.code, VIR_ERR_CONFIG_UNSUPPORTED);
  EXPECT_THAT(spice.message, HasSubstr("'spicevmc' is not supported by Warren"));
  EXPECT_EQ(refusal(domain("<channel type='pty'/>")).code, VIR_ERR_XML_ERROR);
  const std::string generated =
      "/run/warren/domain/11111111-2222-3333-4444-555555555555/channel/org.qemu.guest_agent.0";
  const std::string text = channel("unix", "<source mode='bind' path='" + generated + "'/>",
                                   "name='org.qemu.guest_agent.0' state='connected'");
  std::string running = text;
  running.replace(0, 7, "<domain id='4'");
  const Channel live = parse_domain(running, {.inactive = false}).devices.channels.at(0);
  EXPECT_EQ(live.backend.path, generated);
  EXPECT_EQ(live.connected, true);
  const Channel stored = parse_domain(text, {.inactive = true}).devices.channels.at(0);
  EXPECT_EQ(stored.backend, CharacterBackend{.type = CharacterBackendType::unix_socket});
  EXPECT_FALSE(stored.connected);
}

TEST(DomainXml, SerialPortsAndConsolesOnSockets) {
  const auto devices = [](const std::string& source) {
    return domain("<serial type='unix'>" + source + "</serial><console type='unix'>" + source +
                  "<target type='virtio'/></console>");
  };
  const std::string named = devices("<source path='/a'/>");
  EXPECT_NO_THROW(validate_domain_schema(named));
  const Devices found = parse_domain(named).devices;
  const CharacterBackend expected{
      .type = CharacterBackendType::unix_socket, .path = "/a", .socket_mode = SocketMode::bind};
  EXPECT_EQ(found.serials.at(0).backend, expected);
  EXPECT_EQ(found.consoles.at(0).backend, expected);
  for (const char* nowhere : {"", "<source mode='bind'/>"})
    EXPECT_THAT(refusal(devices(nowhere)).message, HasSubstr("<source mode='bind' path='…'/> is missing"));
  EXPECT_EQ(refusal(devices("<source mode='listen' path='/a'/>")).code, VIR_ERR_XML_ERROR);
}

TEST(DomainXml, WhatCouldNotBeReadBackIsNotReadable) {
  DomainDefinition definition = parse_domain(domain());
  EXPECT_NO_THROW(check_readable(definition));
  for (const std::string& name :
       {std::string("a\nb"), std::string("\x01"), std::string("\xff"), std::string(241, 'x')}) {
    definition.name = name;
    EXPECT_THROW(check_readable(definition), Error) << name;
  }
  definition.name = "d";
  definition.description = std::string(1 << 20, '&');
  EXPECT_THROW(check_readable(definition), Error);
}

TEST(DomainXml, ValidationNamesLineAndElement) {
  EXPECT_NO_THROW(validate_domain_schema(domain(kDisk)));
  const Refusal refused = refusal(domain("\n<memballoon model='xen'/>"), {.validate = true});
  EXPECT_EQ(refused.code, VIR_ERR_XML_INVALID_SCHEMA);
  EXPECT_THAT(refused.message, HasSubstr("(domain_definition):"));
  const Refusal unknown = refusal(domain("", "<frob/>"), {.validate = true});
  EXPECT_EQ(unknown.code, VIR_ERR_XML_INVALID_SCHEMA);
  EXPECT_THAT(unknown.message, HasSubstr("(domain_definition):5: element <frob>"));
  const Refusal deep = refusal(domain(kDisk, "<vcpu placement='auto'>2</vcpu>"), {.validate = true});
  EXPECT_THAT(deep.message, HasSubstr("(domain_definition):5: element <vcpu>"));
  EXPECT_EQ(refusal("<!DOCTYPE a><a/>", {.validate = true}).code, VIR_ERR_XML_ERROR);
}

}  // namespace
}  // namespace warren::driver::config
