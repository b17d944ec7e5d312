// Offsets and bits of the configuration space header (PCI 3.0 §6.1, §6.2; PCI-to-PCI Bridge 1.2 §3.2).
#pragma once

#include <cstdint>

namespace warren::vmm::pci {

inline constexpr std::uint16_t kConventionalSize = 256;  // bytes of configuration space
inline constexpr std::uint16_t kExtendedSize = 4096;     // with PCI Express' extension

inline constexpr std::uint16_t kVendorId = 0x00;
inline constexpr std::uint16_t kDeviceId = 0x02;
inline constexpr std::uint16_t kCommand = 0x04;
inline constexpr std::uint16_t kStatus = 0x06;
inline constexpr std::uint16_t kRevisionId = 0x08;
inline constexpr std::uint16_t kClassCode = 0x09;  // three bytes
inline constexpr std::uint16_t kCacheLineSize = 0x0c;
inline constexpr std::uint16_t kLatencyTimer = 0x0d;
inline constexpr std::uint16_t kHeaderType = 0x0e;
inline constexpr std::uint16_t kBar0 = 0x10;
inline constexpr std::uint16_t kSubsystemVendorId = 0x2c;
inline constexpr std::uint16_t kSubsystemId = 0x2e;
inline constexpr std::uint16_t kCapabilitiesPointer = 0x34;
inline constexpr std::uint16_t kInterruptLine = 0x3c;
inline constexpr std::uint16_t kInterruptPin = 0x3d;
inline constexpr std::uint16_t kFirstCapability = 0x40;

inline constexpr std::uint8_t kHeaderTypeBridge = 0x01;
inline constexpr std::uint8_t kHeaderTypeMultifunction = 0x80;

inline constexpr std::uint16_t kPrimaryBus = 0x18;
inline constexpr std::uint16_t kSecondaryBus = 0x19;
inline constexpr std::uint16_t kSubordinateBus = 0x1a;
inline constexpr std::uint16_t kIoBase = 0x1c;
inline constexpr std::uint16_t kIoLimit = 0x1d;
inline constexpr std::uint16_t kSecondaryStatus = 0x1e;
inline constexpr std::uint16_t kMemoryBase = 0x20;
inline constexpr std::uint16_t kMemoryLimit = 0x22;
inline constexpr std::uint16_t kPrefetchableBase = 0x24;
inline constexpr std::uint16_t kPrefetchableLimit = 0x26;
inline constexpr std::uint16_t kPrefetchableBaseUpper = 0x28;
inline constexpr std::uint16_t kPrefetchableLimitUpper = 0x2c;
inline constexpr std::uint16_t kBridgeControl = 0x3e;

inline constexpr std::uint16_t kCommandIo = 1 << 0;
inline constexpr std::uint16_t kCommandMemory = 1 << 1;
inline constexpr std::uint16_t kCommandBusMaster = 1 << 2;
inline constexpr std::uint16_t kCommandParity = 1 << 6;
inline constexpr std::uint16_t kCommandSystemError = 1 << 8;
inline constexpr std::uint16_t kCommandInterruptDisable = 1 << 10;

inline constexpr std::uint16_t kStatusInterrupt = 1 << 3;
inline constexpr std::uint16_t kStatusCapabilities = 1 << 4;

inline constexpr std::uint32_t kBarIo = 1 << 0;
inline constexpr std::uint32_t kBarMemory64 = 2 << 1;
inline constexpr std::uint32_t kBarPrefetchable = 1 << 3;

inline constexpr std::uint8_t kCapabilityPowerManagement = 0x01;
inline constexpr std::uint8_t kCapabilityMsi = 0x05;
inline constexpr std::uint8_t kCapabilityVendor = 0x09;
inline constexpr std::uint8_t kCapabilityExpress = 0x10;
inline constexpr std::uint8_t kCapabilityMsix = 0x11;

}  // namespace warren::vmm::pci
