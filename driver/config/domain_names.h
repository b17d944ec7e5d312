// The words of libvirt's domain XML for every enumeration, and those of them that Warren refuses.
//
// One table for the parser, the formatter and the capabilities, so that the three cannot disagree.
#pragma once

#include <string_view>

#include "driver/config/domain_definition.h"
#include "driver/config/xml_values.h"

namespace warren::driver::config::names {

namespace detail {

inline constexpr EnumName<BootDevice> kBoot[] = {{"hd", BootDevice::hd},
                                                 {"cdrom", BootDevice::cdrom},
                                                 {"network", BootDevice::network},
                                                 {"fd", BootDevice::fd}};

inline constexpr EnumName<SmbiosMode> kSmbios[] = {{"emulate", SmbiosMode::emulate},
                                                   {"sysinfo", SmbiosMode::sysinfo}};
inline constexpr std::string_view kSmbiosRefused[] = {"host"};

inline constexpr EnumName<MemorySource> kMemorySource[] = {{"memfd", MemorySource::memfd}};
inline constexpr std::string_view kMemorySourceRefused[] = {"file", "anonymous"};
inline constexpr EnumName<MemoryAccess> kMemoryAccess[] = {{"shared", MemoryAccess::shared}};
inline constexpr std::string_view kMemoryAccessRefused[] = {"private"};
inline constexpr EnumName<MemoryModel> kMemoryModel[] = {{"dimm", MemoryModel::dimm},
                                                         {"virtio-mem", MemoryModel::virtio_mem}};
inline constexpr std::string_view kMemoryModelRefused[] = {"nvdimm", "virtio-pmem", "sgx-epc"};
inline constexpr EnumName<MemoryAllocation> kMemoryAllocation[] = {{"immediate", MemoryAllocation::immediate},
                                                                   {"ondemand", MemoryAllocation::on_demand}};

inline constexpr EnumName<ClockOffset> kClockOffset[] = {{"utc", ClockOffset::utc},
                                                         {"localtime", ClockOffset::localtime},
                                                         {"timezone", ClockOffset::timezone},
                                                         {"variable", ClockOffset::variable},
                                                         {"absolute", ClockOffset::absolute}};
inline constexpr EnumName<ClockBasis> kClockBasis[] = {{"utc", ClockBasis::utc},
                                                       {"localtime", ClockBasis::localtime}};
inline constexpr EnumName<TimerName> kTimer[] = {{"rtc", TimerName::rtc},
                                                 {"pit", TimerName::pit},
                                                 {"hpet", TimerName::hpet},
                                                 {"kvmclock", TimerName::kvmclock},
                                                 {"hypervclock", TimerName::hypervclock}};
inline constexpr std::string_view kTimerRefused[] = {"tsc", "platform", "armvtimer"};
inline constexpr EnumName<TimerTickPolicy> kTickPolicy[] = {{"delay", TimerTickPolicy::delay},
                                                            {"catchup", TimerTickPolicy::catchup},
                                                            {"discard", TimerTickPolicy::discard}};
inline constexpr std::string_view kTickPolicyRefused[] = {"merge"};

inline constexpr EnumName<LifecycleAction> kLifecycle[] = {
    {"destroy", LifecycleAction::destroy},
    {"restart", LifecycleAction::restart},
    {"preserve", LifecycleAction::preserve},
    {"coredump-destroy", LifecycleAction::coredump_destroy},
    {"coredump-restart", LifecycleAction::coredump_restart}};
inline constexpr std::string_view kLifecycleRefused[] = {"rename-restart"};

inline constexpr EnumName<CpuMode> kCpuMode[] = {{"custom", CpuMode::custom},
                                                 {"host-model", CpuMode::host_model},
                                                 {"host-passthrough", CpuMode::host_passthrough},
                                                 {"maximum", CpuMode::maximum}};
inline constexpr EnumName<CpuMatch> kCpuMatch[] = {
    {"exact", CpuMatch::exact}, {"minimum", CpuMatch::minimum}, {"strict", CpuMatch::strict}};
inline constexpr EnumName<CpuCheck> kCpuCheck[] = {
    {"none", CpuCheck::none}, {"partial", CpuCheck::partial}, {"full", CpuCheck::full}};
inline constexpr EnumName<CpuFallback> kCpuFallback[] = {{"allow", CpuFallback::allow},
                                                         {"forbid", CpuFallback::forbid}};
inline constexpr EnumName<CpuFeaturePolicy> kCpuPolicy[] = {{"force", CpuFeaturePolicy::force},
                                                            {"require", CpuFeaturePolicy::require},
                                                            {"optional", CpuFeaturePolicy::optional},
                                                            {"disable", CpuFeaturePolicy::disable},
                                                            {"forbid", CpuFeaturePolicy::forbid}};

inline constexpr EnumName<DiskSourceType> kDiskType[] = {
    {"file", DiskSourceType::file}, {"block", DiskSourceType::block}, {"network", DiskSourceType::network}};
inline constexpr std::string_view kDiskTypeRefused[] = {"dir", "volume", "nvme", "vhostuser", "vhostvdpa"};
inline constexpr EnumName<DiskDevice> kDiskDevice[] = {{"disk", DiskDevice::disk},
                                                       {"cdrom", DiskDevice::cdrom}};
inline constexpr std::string_view kDiskDeviceRefused[] = {"floppy", "lun"};
inline constexpr EnumName<DiskBus> kDiskBus[] = {
    {"virtio", DiskBus::virtio}, {"sata", DiskBus::sata}, {"scsi", DiskBus::scsi}};
inline constexpr std::string_view kDiskBusRefused[] = {"ide", "fdc", "usb", "xen", "uml", "sd", "nvme"};
inline constexpr EnumName<StartupPolicy> kStartupPolicy[] = {{"mandatory", StartupPolicy::mandatory},
                                                             {"requisite", StartupPolicy::requisite},
                                                             {"optional", StartupPolicy::optional}};
inline constexpr EnumName<DiskCache> kDiskCache[] = {
    {"default", DiskCache::default_mode},      {"none", DiskCache::none},
    {"writethrough", DiskCache::writethrough}, {"writeback", DiskCache::writeback},
    {"directsync", DiskCache::directsync},     {"unsafe", DiskCache::unsafe}};
inline constexpr EnumName<DiskFormat> kDiskFormat[] = {{"raw", DiskFormat::raw},
                                                       {"qcow2", DiskFormat::qcow2}};
inline constexpr std::string_view kDiskFormatRefused[] = {"dir", "bochs", "cloop", "dmg", "iso",   "vpc",
                                                          "vdi", "none",  "fat",   "vhd", "ploop", "luks",
                                                          "cow", "qcow",  "qed",   "vmdk"};
inline constexpr EnumName<CagedFormat> kCagedFormat[] = {
    {"raw", CagedFormat::raw},   {"qcow2", CagedFormat::qcow2}, {"qcow", CagedFormat::qcow},
    {"qed", CagedFormat::qed},   {"vdi", CagedFormat::vdi},     {"vhdx", CagedFormat::vhdx},
    {"vmdk", CagedFormat::vmdk}, {"vpc", CagedFormat::vpc}};
inline constexpr std::string_view kCagedFormatRefused[] = {"dir", "bochs", "cloop", "dmg",  "iso", "none",
                                                           "fat", "vhd",   "ploop", "luks", "cow"};
inline constexpr EnumName<MirrorJob> kMirrorJob[] = {{"copy", MirrorJob::copy},
                                                     {"active-commit", MirrorJob::active_commit}};
// Of one that is running nothing is said.
inline constexpr EnumName<MirrorState> kMirrorState[] = {
    {"yes", MirrorState::ready}, {"pivot", MirrorState::pivot}, {"abort", MirrorState::abort}};
inline constexpr EnumName<DiskIo> kDiskIo[] = {
    {"threads", DiskIo::threads}, {"native", DiskIo::native}, {"io_uring", DiskIo::io_uring}};
inline constexpr EnumName<DiskDetectZeroes> kDiskDetectZeroes[] = {
    {"off", DiskDetectZeroes::off}, {"on", DiskDetectZeroes::on}, {"unmap", DiskDetectZeroes::unmap}};
inline constexpr EnumName<DiskErrorPolicy> kDiskErrorPolicy[] = {{"stop", DiskErrorPolicy::stop},
                                                                 {"report", DiskErrorPolicy::report},
                                                                 {"ignore", DiskErrorPolicy::ignore},
                                                                 {"enospace", DiskErrorPolicy::enospace}};
inline constexpr EnumName<DiskDiscard> kDiskDiscard[] = {{"ignore", DiskDiscard::ignore},
                                                         {"unmap", DiskDiscard::unmap}};

inline constexpr EnumName<InterfaceType> kInterfaceType[] = {
    {"bridge", InterfaceType::bridge},      {"ethernet", InterfaceType::ethernet},
    {"network", InterfaceType::network},    {"direct", InterfaceType::direct},
    {"hostdev", InterfaceType::hostdev},    {"user", InterfaceType::user},
    {"vhostuser", InterfaceType::vhostuser}};
inline constexpr std::string_view kInterfaceTypeRefused[] = {"internal", "vdpa", "server", "client",
                                                             "mcast",    "udp",  "null",   "vds"};
inline constexpr EnumName<PacketMover> kPacketMover[] = {{"qemu", PacketMover::worker},
                                                         {"vhost", PacketMover::vhost}};
inline constexpr EnumName<ForwardedProtocol> kForwardedProtocol[] = {{"tcp", ForwardedProtocol::tcp},
                                                                     {"udp", ForwardedProtocol::udp}};
inline constexpr EnumName<bool> kLinkState[] = {{"up", true}, {"down", false}};

inline constexpr EnumName<CharacterBackendType> kCharacter[] = {{"pty", CharacterBackendType::pty},
                                                                {"file", CharacterBackendType::file},
                                                                {"null", CharacterBackendType::null},
                                                                {"unix", CharacterBackendType::unix_socket}};
inline constexpr std::string_view kCharacterRefused[] = {
    "dev", "pipe", "stdio", "tcp", "udp", "vc", "spicevmc", "spiceport", "nmdm", "qemu-vdagent", "dbus"};
inline constexpr EnumName<VsockDriver> kVsockDriver[] = {{"qemu", VsockDriver::worker},
                                                         {"vhost", VsockDriver::vhost}};
inline constexpr EnumName<SocketMode> kSocketMode[] = {{"bind", SocketMode::bind},
                                                       {"connect", SocketMode::connect}};
inline constexpr EnumName<ConsoleTarget> kConsoleTarget[] = {{"serial", ConsoleTarget::serial},
                                                             {"virtio", ConsoleTarget::virtio}};
inline constexpr std::string_view kConsoleTargetRefused[] = {"xen", "uml", "lxc", "openvz", "sclp", "sclplm"};

inline constexpr EnumName<ControllerType> kController[] = {{"pci", ControllerType::pci},
                                                           {"virtio-serial", ControllerType::virtio_serial},
                                                           {"usb", ControllerType::usb},
                                                           {"sata", ControllerType::sata},
                                                           {"scsi", ControllerType::scsi}};
inline constexpr std::string_view kControllerRefused[] = {"ide", "fdc", "ccid", "xenbus", "isa"};
inline constexpr EnumName<ControllerModel> kScsiModel[] = {{"virtio-scsi", ControllerModel::virtio_scsi}};
inline constexpr std::string_view kScsiModelRefused[] = {
    "auto",     "buslogic", "lsilogic", "lsisas1068", "lsisas1078",          "vmpvscsi",
    "ibmvscsi", "ncr53c90", "dc390",    "am53c974",   "virtio-transitional", "virtio-non-transitional"};
inline constexpr EnumName<ControllerModel> kPciModel[] = {
    {"pcie-root", ControllerModel::pcie_root}, {"pcie-root-port", ControllerModel::pcie_root_port}};
inline constexpr std::string_view kPciModelRefused[] = {"pci-root",
                                                        "pci-bridge",
                                                        "dmi-to-pci-bridge",
                                                        "pcie-to-pci-bridge",
                                                        "pcie-switch-upstream-port",
                                                        "pcie-switch-downstream-port",
                                                        "pci-expander-bus",
                                                        "pcie-expander-bus"};

inline constexpr EnumName<RngBackend> kRngBackend[] = {{"random", RngBackend::random},
                                                       {"builtin", RngBackend::builtin}};
inline constexpr std::string_view kRngBackendRefused[] = {"egd"};

inline constexpr EnumName<InputType> kInputType[] = {{"keyboard", InputType::keyboard},
                                                     {"mouse", InputType::mouse},
                                                     {"tablet", InputType::tablet},
                                                     {"passthrough", InputType::passthrough},
                                                     {"evdev", InputType::evdev}};
inline constexpr EnumName<GrabToggle> kGrabToggle[] = {
    {"ctrl-ctrl", GrabToggle::ctrl_ctrl},     {"alt-alt", GrabToggle::alt_alt},
    {"shift-shift", GrabToggle::shift_shift}, {"meta-meta", GrabToggle::meta_meta},
    {"scrolllock", GrabToggle::scrolllock},   {"ctrl-scrolllock", GrabToggle::ctrl_scrolllock}};
inline constexpr EnumName<InputBus> kInputBus[] = {
    {"ps2", InputBus::ps2}, {"virtio", InputBus::virtio}, {"none", InputBus::none}};
inline constexpr std::string_view kInputBusRefused[] = {"usb", "xen", "parallels"};
inline constexpr EnumName<InputModel> kInputModel[] = {
    {"virtio", InputModel::virtio}, {"virtio-non-transitional", InputModel::virtio_non_transitional}};
inline constexpr std::string_view kInputModelRefused[] = {"virtio-transitional"};

inline constexpr EnumName<BalloonModel> kBalloonModel[] = {{"virtio", BalloonModel::virtio},
                                                           {"none", BalloonModel::none}};
inline constexpr std::string_view kBalloonModelRefused[] = {"virtio-transitional", "virtio-non-transitional",
                                                            "xen"};

inline constexpr EnumName<WatchdogModel> kWatchdogModel[] = {{"i6300esb", WatchdogModel::i6300esb},
                                                             {"itco", WatchdogModel::itco}};
inline constexpr std::string_view kWatchdogModelRefused[] = {"ib700", "diag288"};

inline constexpr EnumName<WatchdogAction> kWatchdogAction[] = {{"reset", WatchdogAction::reset},
                                                               {"shutdown", WatchdogAction::shutdown},
                                                               {"poweroff", WatchdogAction::poweroff},
                                                               {"pause", WatchdogAction::pause},
                                                               {"none", WatchdogAction::none},
                                                               {"dump", WatchdogAction::dump},
                                                               {"inject-nmi", WatchdogAction::inject_nmi}};

}  // namespace detail

inline constexpr EnumTable<BootDevice> kBootDevice{detail::kBoot, {}};
inline constexpr EnumTable<SmbiosMode> kSmbiosMode{detail::kSmbios, detail::kSmbiosRefused};
inline constexpr EnumTable<MemorySource> kMemorySource{detail::kMemorySource, detail::kMemorySourceRefused};
inline constexpr EnumTable<MemoryAccess> kMemoryAccess{detail::kMemoryAccess, detail::kMemoryAccessRefused};
inline constexpr EnumTable<MemoryModel> kMemoryModel{detail::kMemoryModel, detail::kMemoryModelRefused};
inline constexpr EnumTable<MemoryAllocation> kMemoryAllocation{detail::kMemoryAllocation, {}};
inline constexpr EnumTable<ClockOffset> kClockOffset{detail::kClockOffset, {}};
inline constexpr EnumTable<ClockBasis> kClockBasis{detail::kClockBasis, {}};
inline constexpr EnumTable<TimerName> kTimer{detail::kTimer, detail::kTimerRefused};
inline constexpr EnumTable<TimerTickPolicy> kTickPolicy{detail::kTickPolicy, detail::kTickPolicyRefused};
inline constexpr EnumTable<LifecycleAction> kLifecycle{detail::kLifecycle, detail::kLifecycleRefused};
inline constexpr EnumTable<CpuMode> kCpuMode{detail::kCpuMode, {}};
inline constexpr EnumTable<CpuMatch> kCpuMatch{detail::kCpuMatch, {}};
inline constexpr EnumTable<CpuCheck> kCpuCheck{detail::kCpuCheck, {}};
inline constexpr EnumTable<CpuFallback> kCpuFallback{detail::kCpuFallback, {}};
inline constexpr EnumTable<CpuFeaturePolicy> kCpuPolicy{detail::kCpuPolicy, {}};
inline constexpr EnumTable<DiskSourceType> kDiskType{detail::kDiskType, detail::kDiskTypeRefused};
inline constexpr EnumTable<DiskDevice> kDiskDevice{detail::kDiskDevice, detail::kDiskDeviceRefused};
inline constexpr EnumTable<DiskBus> kDiskBus{detail::kDiskBus, detail::kDiskBusRefused};
inline constexpr EnumTable<StartupPolicy> kStartupPolicy{detail::kStartupPolicy, {}};
inline constexpr EnumTable<DiskCache> kDiskCache{detail::kDiskCache, {}};
inline constexpr EnumTable<DiskFormat> kDiskFormat{detail::kDiskFormat, detail::kDiskFormatRefused};
inline constexpr EnumTable<CagedFormat> kCagedFormat{detail::kCagedFormat, detail::kCagedFormatRefused};
inline constexpr EnumTable<MirrorJob> kMirrorJob{detail::kMirrorJob, {}};
inline constexpr EnumTable<MirrorState> kMirrorState{detail::kMirrorState, {}};
inline constexpr EnumTable<DiskIo> kDiskIo{detail::kDiskIo, {}};
inline constexpr EnumTable<DiskDiscard> kDiskDiscard{detail::kDiskDiscard, {}};
inline constexpr EnumTable<DiskDetectZeroes> kDiskDetectZeroes{detail::kDiskDetectZeroes, {}};
inline constexpr EnumTable<DiskErrorPolicy> kDiskErrorPolicy{detail::kDiskErrorPolicy, {}};
inline constexpr EnumTable<InterfaceType> kInterfaceType{detail::kInterfaceType,
                                                         detail::kInterfaceTypeRefused};
inline constexpr EnumTable<PacketMover> kPacketMover{detail::kPacketMover, {}};
inline constexpr EnumTable<ForwardedProtocol> kForwardedProtocol{detail::kForwardedProtocol, {}};
inline constexpr EnumTable<bool> kLinkState{detail::kLinkState, {}};
inline constexpr EnumTable<CharacterBackendType> kCharacter{detail::kCharacter, detail::kCharacterRefused};
inline constexpr EnumTable<SocketMode> kSocketMode{detail::kSocketMode, {}};
inline constexpr EnumTable<VsockDriver> kVsockDriver{detail::kVsockDriver, {}};
inline constexpr EnumTable<ConsoleTarget> kConsoleTarget{detail::kConsoleTarget,
                                                         detail::kConsoleTargetRefused};
inline constexpr EnumTable<ControllerType> kController{detail::kController, detail::kControllerRefused};
inline constexpr EnumTable<ControllerModel> kPciModel{detail::kPciModel, detail::kPciModelRefused};
inline constexpr EnumTable<ControllerModel> kScsiModel{detail::kScsiModel, detail::kScsiModelRefused};
inline constexpr EnumTable<RngBackend> kRngBackend{detail::kRngBackend, detail::kRngBackendRefused};
inline constexpr EnumTable<InputType> kInputType{detail::kInputType, {}};
inline constexpr EnumTable<GrabToggle> kGrabToggle{detail::kGrabToggle, {}};
inline constexpr EnumTable<InputBus> kInputBus{detail::kInputBus, detail::kInputBusRefused};
inline constexpr EnumTable<InputModel> kInputModel{detail::kInputModel, detail::kInputModelRefused};
inline constexpr EnumTable<BalloonModel> kBalloonModel{detail::kBalloonModel, detail::kBalloonModelRefused};
inline constexpr EnumTable<WatchdogModel> kWatchdogModel{detail::kWatchdogModel,
                                                         detail::kWatchdogModelRefused};
inline constexpr EnumTable<WatchdogAction> kWatchdogAction{detail::kWatchdogAction, {}};

// Elements of <devices> that are devices to libvirt; the ones that can be attached and detached alone are
// those of parse_device().
inline constexpr std::string_view kOtherDevices[] = {
    "audio", "crypto",   "filesystem", "graphics", "hub",       "iommu", "lease", "memballoon", "nvram",
    "panic", "parallel", "redirdev",   "shmem",    "smartcard", "sound", "tpm",   "video"};

}  // namespace warren::driver::config::names
