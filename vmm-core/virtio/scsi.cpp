#include "vmm-core/virtio/scsi.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "vmm-core/os/error.h"
#include "vmm-core/virtio/scsi_parts.h"

namespace warren::vmm::virtio {

namespace {

// Features (§5.6.3).
constexpr std::uint64_t kHotPlug = 1 << 1, kChange = 1 << 2;

constexpr std::uint32_t kMaximumSegments = 254;
// What a driver may set (§5.6.4): a CDB of up to SPC-4's 260 bytes less what is never used, and all sense
// that there can be (SPC-4 §4.5).
constexpr std::uint32_t kLeastCommandBytes = 16, kMostCommandBytes = 256, kMostSenseBytes = 252;

// Additional sense code and qualifier, as a parameter change tells them.
constexpr std::uint32_t reason_of(const scsi::Sense& sense) noexcept {
  return static_cast<std::uint32_t>(sense.code | sense.qualifier << 8);
}

}  // namespace

Scsi::Scsi(std::string name, const ScsiOptions& options, std::vector<UnitConfiguration> units,
           EventThread& thread)
    : ServedDevice(std::move(name), {&thread}, Polling::yes),
      options_(options),
      thread_(thread),
      sense_bytes_(kPresetSenseBytes),
      command_bytes_(kPresetCommandBytes),
      events_(std::make_unique<Events>(*this)),
      functions_(std::make_unique<TaskManagement>(*this)) {
  for (std::uint16_t i = 0; i < options_.queues; ++i)
    requests_.push_back(
        std::make_unique<RequestQueue>(*this, static_cast<std::uint16_t>(kFirstRequestQueue + i)));
  for (UnitConfiguration& unit : units) add_unit(std::move(unit));
}

Scsi::~Scsi() {
  Scsi::deactivate();
}

void Scsi::on_thread(const std::function<void()>& work) const {
  std::exception_ptr failed;
  thread_.run([&] {
    try {
      work();
    } catch (...) {
      failed = std::current_exception();
    }
  });
  if (failed) std::rethrow_exception(failed);
}

std::uint64_t Scsi::features() const noexcept {
  return kHotPlug | kChange;
}

void Scsi::deactivate() noexcept {
  ServedDevice::deactivate();
  thread_.run([this] {
    functions_->clear();
    events_->clear();
    for (auto& unit : units_) {
      unit->stop();
      unit->give_up(std::nullopt);
      unit->logical().reset();
    }
    streams_running_ = false;
    driver_present_ = false;
    sense_bytes_.store(kPresetSenseBytes, std::memory_order_relaxed);
    command_bytes_.store(kPresetCommandBytes, std::memory_order_relaxed);
  });
}

void Scsi::read_configuration(std::uint64_t offset, std::span<std::byte> data) noexcept {
  ScsiConfiguration configuration;
  configuration.queues = options_.queues;
  configuration.maximum_segments = kMaximumSegments;
  configuration.maximum_sectors = options_.maximum_sectors;
  configuration.commands_per_unit = options_.commands_per_unit;
  configuration.sense_bytes = sense_bytes_.load(std::memory_order_relaxed);
  configuration.command_bytes = command_bytes_.load(std::memory_order_relaxed);
  configuration.maximum_target = 255;
  configuration.maximum_lun = scsi::kMaximumLun;
  read_bytes(std::as_bytes(std::span(&configuration, 1)), offset, data);
}

void Scsi::write_configuration(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  std::uint32_t value = 0;
  if (data.size() != sizeof(value)) return;
  std::ranges::copy(data, std::as_writable_bytes(std::span(&value, 1)).begin());
  if (offset == offsetof(ScsiConfiguration, sense_bytes) && value <= kMostSenseBytes)
    sense_bytes_.store(value, std::memory_order_relaxed);
  if (offset == offsetof(ScsiConfiguration, command_bytes) && value >= kLeastCommandBytes &&
      value <= kMostCommandBytes)
    command_bytes_.store(value, std::memory_order_relaxed);
}

Scsi::Unit* Scsi::find(ScsiUnitAddress address) const noexcept {
  const auto found =
      std::ranges::lower_bound(units_, address, {}, [](const auto& unit) { return unit->address(); });
  return found != units_.end() && (*found)->address() == address ? found->get() : nullptr;
}

bool Scsi::has_target(std::uint8_t target) const noexcept {
  return std::ranges::any_of(units_, [target](const auto& unit) { return unit->address().target == target; });
}

std::size_t Scsi::luns_of(std::uint8_t target, std::span<std::uint16_t> luns) const noexcept {
  std::size_t count = 0;
  for (const auto& unit : units_)
    if (unit->address().target == target && count < luns.size()) luns[count++] = unit->address().lun;
  return count;
}

Scsi::Unit& Scsi::require(ScsiUnitAddress address) const {
  Unit* unit = find(address);
  if (unit == nullptr) {
    throw Error(std::errc::no_such_device, name() + ": there is no unit " + std::to_string(address.lun) +
                                               " of target " + std::to_string(address.target));
  }
  return *unit;
}

void Scsi::insert(std::unique_ptr<Unit> unit) {
  const ScsiUnitAddress address = unit->address();
  if (address.lun > scsi::kMaximumLun || units_.size() == kMaximumUnits || find(address) != nullptr) {
    throw Error(std::errc::file_exists, name() + ": unit " + std::to_string(address.lun) + " of target " +
                                            std::to_string(address.target) +
                                            " cannot be, is there already, or is one too many");
  }
  if (streams_running_) unit->start();
  const auto place =
      std::ranges::lower_bound(units_, address, {}, [](const auto& each) { return each->address(); });
  units_.insert(place, std::move(unit));
}

// A driver that does not take events hears of it from the units that stay.
void Scsi::tell_units_changed(ScsiUnitAddress address, std::uint32_t reason) noexcept {
  if (!driver_present_) return;
  if ((accepted_features() & kHotPlug) != 0) return events_->tell(kTransportReset, address, reason);
  for (auto& unit : units_)
    if (unit->address().target == address.target && unit->address() != address) unit->note_units_changed();
}

void Scsi::add_unit(UnitConfiguration configuration) {
  block::Disk& disk = *configuration.disk;
  const ScsiUnitAddress address = configuration.address;
  const bool is_disk = configuration.drive != nullptr;
  if (!is_disk && disk.has_image()) configuration.optical_drive->set_medium(disk.size());
  on_thread([&] {
    insert(std::make_unique<Unit>(*this, std::move(configuration)));
    tell_units_changed(address, kResetRescan);
  });
  if (!is_disk) return;
  disk.set_resize_handler([this, address, &disk] {
    thread_.run([&] {
      Unit* unit = find(address);
      if (unit == nullptr || unit->drive() == nullptr) return;
      unit->drive()->set_size(disk.size());
      if ((accepted_features() & kChange) != 0)
        events_->tell(kParameterChange, address, reason_of(scsi::kCapacityChanged));
    });
  });
}

void Scsi::remove_unit(ScsiUnitAddress address) {
  std::unique_ptr<Unit> gone;  // its disk says farewell on the thread of the caller
  on_thread([&] {
    Unit& unit = require(address);
    unit.give_up(ScsiResponse::bad_target);
    unit.stop();
    const auto found = std::ranges::find_if(units_, [&](const auto& each) { return each.get() == &unit; });
    gone = std::move(*found);
    units_.erase(found);
    tell_units_changed(address, kResetRemoved);
    settle();
  });
}

// Whoever moves a tray or a medium does it where commands are carried out: between two of them.
scsi::OpticalDrive& Scsi::optical_drive(ScsiUnitAddress address) const {
  scsi::OpticalDrive* drive = require(address).optical_drive();
  if (drive == nullptr) throw Error(std::errc::no_such_device, name() + ": that unit is no CD/DVD drive");
  return *drive;
}

scsi::OpticalDrive::Opening Scsi::open_tray(ScsiUnitAddress address, bool force) {
  auto opening = scsi::OpticalDrive::Opening::locked;
  on_thread([&] { opening = optical_drive(address).open_tray(force); });
  return opening;
}

void Scsi::close_tray(ScsiUnitAddress address) {
  on_thread([&] { optical_drive(address).close_tray(); });
}

void Scsi::set_medium(ScsiUnitAddress address, std::unique_ptr<block::Image> image) {
  on_thread([&] {
    static_cast<void>(optical_drive(address));
    require(address).set_medium(std::move(image));
    settle();
  });
}

bool Scsi::push_units() noexcept {
  bool done = false;
  for (auto& unit : units_) done = unit->push() || done;
  return done;
}

void Scsi::settle() noexcept {
  if (std::exchange(settling_, true)) return;
  for (bool again = true; again;) {
    again = false;
    for (auto& queue : requests_) {
      // Whoever serves a queue interrupts for it.
      if (queue->is_serving() || !is_running(queue->index()) || !queue->take_returned()) continue;
      again = true;
      if (queue->is_starved()) {
        work(queue->index());
      } else {
        signal(queue->index());
      }
    }
  }
  settling_ = false;
}

ServedDevice::Served Scsi::serve(std::uint16_t queue) noexcept {
  if (!streams_running_) return Served::waiting;  // some queues have been stopped already
  if (queue == kControlQueue) return functions_->serve();
  if (queue == kEventQueue) return events_->serve();
  return requests_[queue - kFirstRequestQueue]->serve();
}

// The units go on with the first queue, and stop with the first one.
void Scsi::started(std::uint16_t) noexcept {
  if (streams_running_) return;
  driver_present_ = true;
  streams_running_ = true;
  try {
    for (auto& unit : units_) unit->start();
  } catch (const std::exception&) {
    host()->request_reset();  // no ring, no threads: the driver learns that the device is lost
  }
}

void Scsi::stopped(std::uint16_t) noexcept {
  if (!std::exchange(streams_running_, false)) return;
  for (auto& unit : units_) unit->stop();
}

ScsiState Scsi::save() const {
  ScsiState state{.sense_bytes = sense_bytes_.load(), .command_bytes = command_bytes_.load(), .units = {}};
  on_thread([&] {
    for (const auto& unit : units_) {
      ScsiState::Unit& saved = state.units.emplace_back();
      saved.address = unit->address();
      if (unit->drive() != nullptr) {
        saved.state = unit->drive()->save();
      } else {
        saved.state = unit->optical_drive()->save();
      }
    }
  });
  return state;
}

void Scsi::restore(const ScsiState& state) {
  on_thread([&] {
    bool fits = state.version == 1 && state.sense_bytes <= kMostSenseBytes &&
                state.command_bytes >= kLeastCommandBytes && state.command_bytes <= kMostCommandBytes &&
                state.units.size() == units_.size();
    for (std::size_t i = 0; fits && i < units_.size(); ++i) {
      const bool is_disk = units_[i]->drive() != nullptr;
      fits = state.units[i].address == units_[i]->address() &&
             std::holds_alternative<scsi::DiskDriveState>(state.units[i].state) == is_disk;
    }
    if (!fits) throw Error(std::errc::invalid_argument, name() + ": saved state of a SCSI host device");
    for (std::size_t i = 0; i < units_.size(); ++i) {
      if (const auto* disk = std::get_if<scsi::DiskDriveState>(&state.units[i].state)) {
        units_[i]->drive()->restore(*disk);
      } else {
        units_[i]->optical_drive()->restore(std::get<scsi::OpticalDriveState>(state.units[i].state));
      }
    }
    sense_bytes_.store(state.sense_bytes);
    command_bytes_.store(state.command_bytes);
  });
}

void Scsi::inspect(InspectNode& node) const {
  ServedDevice::inspect(node);
  node.add("malformed_commands", malformed_.load());
  on_thread([&] {
    for (const auto& unit : units_) {
      InspectNode& child = node.child(unit->disk().name());
      child.add("target", std::uint32_t{unit->address().target});
      child.add("lun", std::uint32_t{unit->address().lun});
      unit->disk().inspect(child);
      unit->logical().inspect(child);
    }
  });
}

}  // namespace warren::vmm::virtio
