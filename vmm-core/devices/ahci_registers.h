// Registers and structures in memory of AHCI 1.3.1 (§3, §4.2). Offsets in bytes. Implementation header.
#pragma once

#include <cstddef>
#include <cstdint>

namespace warren::vmm::ahci {

inline constexpr unsigned kPorts = 6, kSlots = 32;
inline constexpr std::uint64_t kGenericBytes = 0x100, kPortBytes = 0x80;

// §3.1
inline constexpr std::uint64_t kCapabilities = 0x00, kGlobalControl = 0x04, kInterruptStatus = 0x08,
                               kPortsImplemented = 0x0c, kVersion = 0x10;
inline constexpr std::uint32_t kSupports64Bit = 1U << 31, kSupportsQueuing = 1U << 30,
                               kSupportsCommandListOverride = 1U << 24, kSpeed6Gbps = 3U << 20,
                               kAhciOnly = 1U << 18;
inline constexpr std::uint32_t kHbaReset = 1U << 0, kInterruptEnable = 1U << 1, kAhciEnable = 1U << 31;

// §3.3
inline constexpr std::uint64_t kCommandList = 0x00, kCommandListUpper = 0x04, kFrames = 0x08,
                               kFramesUpper = 0x0c, kPortInterruptStatus = 0x10, kPortInterruptEnable = 0x14,
                               kCommand = 0x18, kTaskFile = 0x20, kSignature = 0x24, kLinkStatus = 0x28,
                               kLinkControl = 0x2c, kLinkError = 0x30, kActive = 0x34, kCommandIssue = 0x38;

// PxIS, PxIE (§3.3.5)
inline constexpr std::uint32_t kRegisterFrame = 1U << 0, kPioFrame = 1U << 1, kDeviceBitsFrame = 1U << 3,
                               kConnectChange = 1U << 6, kOverflow = 1U << 24, kInterfaceFatal = 1U << 27,
                               kHostBusFatal = 1U << 29, kTaskFileError = 1U << 30;
inline constexpr std::uint32_t kPortInterrupts = 0xfdc0'00ff;
// Cleared in PxSERR, not here (§3.3.5).
inline constexpr std::uint32_t kDerivedInterrupts = 1U << 22 | kConnectChange;

// PxCMD (§3.3.7)
inline constexpr std::uint32_t kStart = 1U << 0, kSpinUp = 1U << 1, kPowerOn = 1U << 2, kOverride = 1U << 3,
                               kFrameReceive = 1U << 4, kSlotShift = 8, kSlotMask = 0x1f00,
                               kFramesRunning = 1U << 14, kListRunning = 1U << 15, kIsAtapi = 1U << 24,
                               kAtapiLed = 1U << 25;

inline constexpr std::uint32_t kLinkUp = 0x133;        // PxSSTS: active, 6 Gb/s, device there (§3.3.10)
inline constexpr std::uint32_t kExchanged = 1U << 26;  // PxSERR.DIAG.X
inline constexpr std::uint32_t kDetectMask = 0xf, kDetectReset = 1, kDetectOffline = 4;  // PxSCTL.DET

// §4.2.2
struct CommandHeader {
  std::uint16_t flags = 0;
  std::uint16_t regions = 0;  // entries of the PRD table
  std::uint32_t transferred = 0;
  std::uint64_t table = 0;
  std::uint32_t reserved[4] = {};
};
static_assert(sizeof(CommandHeader) == 32);
inline constexpr std::uint16_t kFrameDwords = 0x1f, kHeaderWrites = 1 << 6, kClearBusy = 1 << 10;
inline constexpr std::uint64_t kTransferredOffset = 4;

// §4.2.3
inline constexpr std::uint64_t kPacketOffset = 0x40, kRegionsOffset = 0x80;
struct Region {
  std::uint64_t address = 0;
  std::uint32_t reserved = 0;
  std::uint32_t count = 0;  // bytes, less one, in 22 bits
};
static_assert(sizeof(Region) == 16);
inline constexpr std::uint32_t kRegionCount = 0x3f'ffff;

// Where received frames are stored (§4.2.1), and their types (Serial ATA 3.0 §10.3).
inline constexpr std::uint64_t kPioFrameOffset = 0x20, kRegisterFrameOffset = 0x40, kDeviceBitsOffset = 0x58;
inline constexpr std::uint8_t kRegisterFrameType = 0x34, kPioFrameType = 0x5f, kDeviceBitsType = 0xa1,
                              kFrameInterrupts = 1 << 6, kFrameToHost = 1 << 5;

}  // namespace warren::vmm::ahci
