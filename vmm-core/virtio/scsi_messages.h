// What lies in the queues of a SCSI host device (virtio 1.2 §5.6.6). Implementation header.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace warren::vmm::virtio {

using ScsiLun = std::array<std::uint8_t, 8>;

// A command, before its CDB and its data (§5.6.6.1).
struct [[gnu::packed]] ScsiRequestHeader {
  ScsiLun lun{};
  std::uint64_t id = 0;
  std::uint8_t task_attribute = 0, priority = 0, command_reference = 0;
};
static_assert(sizeof(ScsiRequestHeader) == 19);

// What comes back, before the sense data.
struct ScsiResponseHeader {
  std::uint32_t sense_bytes = 0;
  std::uint32_t residual = 0;
  std::uint16_t status_qualifier = 0;
  std::uint8_t status = 0;
  std::uint8_t response = 0;
};
static_assert(sizeof(ScsiResponseHeader) == 12);

enum class ScsiResponse : std::uint8_t {
  ok = 0,
  overrun = 1,
  aborted = 2,
  bad_target = 3,
  reset = 4,
  failure = 9,
  function_succeeded = 10,
  function_rejected = 11,
  incorrect_lun = 12,
};

// SAM-5 §5.3.1.
enum class ScsiStatus : std::uint8_t { good = 0x00, check_condition = 0x02, task_set_full = 0x28 };

// Task management (§5.6.6.2).
struct [[gnu::packed]] ScsiFunctionRequest {
  std::uint32_t type = 0;
  std::uint32_t function = 0;
  ScsiLun lun{};
  std::uint64_t id = 0;
};
static_assert(sizeof(ScsiFunctionRequest) == 24);
inline constexpr std::uint32_t kTaskManagement = 0, kNotificationQuery = 1, kNotificationSubscribe = 2;
enum class ScsiFunction : std::uint32_t {
  abort_task = 0,
  abort_task_set = 1,
  clear_aca = 2,
  clear_task_set = 3,
  nexus_reset = 4,
  unit_reset = 5,
  query_task = 6,
  query_task_set = 7,
};

// Asynchronous notification (§5.6.6.2).
struct ScsiNotificationRequest {
  std::uint32_t type = 0;
  ScsiLun lun{};
  std::uint32_t events = 0;
};
static_assert(sizeof(ScsiNotificationRequest) == 16);
struct [[gnu::packed]] ScsiNotificationResponse {
  std::uint32_t events = 0;
  std::uint8_t response = 0;
};
static_assert(sizeof(ScsiNotificationResponse) == 5);

// The event queue (§5.6.6.3).
struct ScsiEvent {
  std::uint32_t event = 0;
  ScsiLun lun{};
  std::uint32_t reason = 0;
};
static_assert(sizeof(ScsiEvent) == 16);
inline constexpr std::uint32_t kEventsMissed = std::uint32_t{1} << 31, kTransportReset = 1,
                               kParameterChange = 3;
inline constexpr std::uint32_t kResetRescan = 1, kResetRemoved = 2;

// Device configuration (§5.6.4).
struct ScsiConfiguration {
  std::uint32_t queues = 0;
  std::uint32_t maximum_segments = 0;
  std::uint32_t maximum_sectors = 0;
  std::uint32_t commands_per_unit = 0;
  std::uint32_t event_bytes = sizeof(ScsiEvent);
  std::uint32_t sense_bytes = 0;
  std::uint32_t command_bytes = 0;
  std::uint16_t maximum_channel = 0;
  std::uint16_t maximum_target = 0;
  std::uint32_t maximum_lun = 0;
};
static_assert(sizeof(ScsiConfiguration) == 36);
inline constexpr std::uint32_t kPresetSenseBytes = 96, kPresetCommandBytes = 32;

}  // namespace warren::vmm::virtio
