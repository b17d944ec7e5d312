#include "vmm-core/devices/real_time_clock.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace warren::vmm {
namespace {

namespace chrono = std::chrono;

enum Register : unsigned {
  kSeconds = 0,
  kSecondsAlarm = 1,
  kMinutes = 2,
  kMinutesAlarm = 3,
  kHours = 4,
  kHoursAlarm = 5,
  kWeekday = 6,
  kDay = 7,
  kMonth = 8,
  kYear = 9,
  kA = 10,
  kB = 11,
  kC = 12,
  kD = 13,
  kCentury = 0x32,
};

constexpr std::uint8_t kUpdateInProgress = 0x80;  // A
constexpr std::uint8_t kSet = 0x80, kPeriodic = 0x40, kAlarm = 0x20,
                       kUpdate = 0x10;                   // B; C has the last three too
constexpr std::uint8_t kBinary = 0x04, k24Hours = 0x02;  // B
constexpr std::uint8_t kInterruptRequest = 0x80;         // C
constexpr std::uint8_t kValidRamAndTime = 0x80;          // D
constexpr std::uint8_t kDontCare = 0xc0;                 // alarm registers
constexpr std::uint8_t kAfternoon = 0x80;
constexpr std::uint8_t kTimeBase32KHz = 0x26, kRate = 0x0f;  // A

constexpr RealTimeClock::Nanoseconds kSecond = 1'000'000'000;
// A guest that acknowledges nothing is owed no more than this: eight seconds at the highest rate.
constexpr RealTimeClock::Nanoseconds kMostMissedTicks = 65536;
// The data sheet's 244 µs before each update in which the registers are not to be read.
constexpr RealTimeClock::Nanoseconds kUpdateWarning = 244'000;
// Guests, hosts and saved states may name any time; what the clock shows stays within these, so that sums of
// nanoseconds since 1970 never overflow.
constexpr int kFirstYear = 1900, kLastYear = 2199;
constexpr RealTimeClock::Nanoseconds kEarliest = -2'208'988'800 * kSecond;  // 1900-01-01
constexpr RealTimeClock::Nanoseconds kLatest = 7'258'118'399 * kSecond;     // 2199-12-31 23:59:59

RealTimeClock::Nanoseconds floor_to(RealTimeClock::Nanoseconds value,
                                    RealTimeClock::Nanoseconds unit) noexcept {
  const auto rest = value % unit;
  return value - (rest < 0 ? rest + unit : rest);
}

struct CivilTime {
  int year = 1970;
  unsigned month = 1, day = 1, weekday = 1, hour = 0, minute = 0, second = 0;
};

CivilTime civil_time(RealTimeClock::Nanoseconds time) noexcept {
  const chrono::sys_seconds seconds{chrono::seconds(floor_to(time, kSecond) / kSecond)};
  const auto days = chrono::floor<chrono::days>(seconds);
  const chrono::year_month_day date{days};
  const chrono::hh_mm_ss clock{seconds - days};
  return {static_cast<int>(date.year()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          chrono::weekday{days}.c_encoding() + 1,
          static_cast<unsigned>(clock.hours().count()),
          static_cast<unsigned>(clock.minutes().count()),
          static_cast<unsigned>(clock.seconds().count())};
}

RealTimeClock::Nanoseconds from_civil(const CivilTime& civil) noexcept {
  const chrono::year_month_day date{chrono::year{std::clamp(civil.year, kFirstYear, kLastYear)},
                                    chrono::month{std::clamp(civil.month, 1u, 12u)},
                                    chrono::day{std::clamp(civil.day, 1u, 31u)}};
  const chrono::seconds seconds = chrono::sys_days{date}.time_since_epoch() + chrono::hours{civil.hour % 24} +
                                  chrono::minutes{civil.minute % 60} + chrono::seconds{civil.second % 60};
  return seconds.count() * kSecond;
}

bool is_time_register(unsigned index) noexcept {
  return index == kSeconds || index == kMinutes || index == kHours || (index >= kWeekday && index <= kYear) ||
         index == kCentury;
}

}  // namespace

RealTimeClock::RealTimeClock(std::unique_ptr<InterruptLine> interrupt, HostClock clock, Nanoseconds offset,
                             std::function<void()> wake, MissedTicks missed_ticks)
    : interrupt_(std::move(interrupt)),
      clock_(std::move(clock)),
      wake_(std::move(wake)),
      missed_ticks_(missed_ticks) {
  state_.memory[kA] = kTimeBase32KHz;
  state_.memory[kB] = k24Hours;
  state_.memory[kD] = kValidRamAndTime;
  state_.offset = told_offset_ = offset;
  state_.checked_until = now();
}

RealTimeClock::Nanoseconds RealTimeClock::now() const noexcept {
  Nanoseconds sum = 0;
  if (__builtin_add_overflow(clock_(), state_.offset, &sum)) return state_.offset < 0 ? kEarliest : kLatest;
  return std::clamp(sum, kEarliest, kLatest);
}

void RealTimeClock::set_now(Nanoseconds time) noexcept {
  // The offset of a host whose clock is centuries off saturates; the guest's clock is then wrong, no more.
  const Nanoseconds host = clock_();
  if (__builtin_sub_overflow(time, host, &state_.offset)) {
    state_.offset =
        host < 0 ? std::numeric_limits<Nanoseconds>::max() : std::numeric_limits<Nanoseconds>::min();
  }
  state_.checked_until = now();
}

void RealTimeClock::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& byte : data) byte = static_cast<std::byte>(offset++ == 1 ? read_register() : std::uint8_t{0xff});
}

void RealTimeClock::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  bool was_set = false;
  Nanoseconds shown = 0;
  {
    const std::lock_guard lock(mutex_);
    for (const auto byte : data) {
      const auto value = std::to_integer<std::uint8_t>(byte);
      if (offset == 0) state_.index = value & 0x7f;  // bit 7 masks NMI, of which there are none here
      if (offset == 1) write_register(value);
      ++offset;
    }
    shown = state_.offset;
    was_set = std::exchange(told_offset_, shown) != shown;
  }
  if (wake_) wake_();
  if (was_set && clock_set_) clock_set_(shown);
}

std::uint8_t RealTimeClock::read_register() noexcept {
  check_events();
  switch (state_.index) {
    case kA: {
      const Nanoseconds in_second = now() - floor_to(now(), kSecond);
      const bool updating = (state_.memory[kB] & kSet) == 0 && in_second >= kSecond - kUpdateWarning;
      return static_cast<std::uint8_t>((state_.memory[kA] & 0x7f) | (updating ? kUpdateInProgress : 0));
    }
    case kC: {
      const std::uint8_t flags = state_.memory[kC];
      acknowledge();
      return flags;
    }
    case kD:
      return kValidRamAndTime;
    default:
      return is_time_register(state_.index) && (state_.memory[kB] & kSet) == 0 ? time_register(state_.index)
                                                                               : state_.memory[state_.index];
  }
}

void RealTimeClock::write_register(std::uint8_t value) noexcept {
  check_events();
  switch (state_.index) {
    case kA:
      if (((state_.memory[kA] ^ value) & kRate) != 0) state_.missed_ticks = 0;
      state_.memory[kA] = value & 0x7f;
      return;
    case kB: {
      const bool was_set = (state_.memory[kB] & kSet) != 0;
      const bool sets = (value & kSet) != 0;
      // While SET is on the registers stand still: they are filled from the clock, and the clock from them
      // after.
      if (!was_set && sets) {
        for (unsigned i : {kSeconds, kMinutes, kHours, kWeekday, kDay, kMonth, kYear, kCentury}) {
          state_.memory[i] = time_register(i);
        }
      }
      if ((value & kPeriodic) == 0) state_.missed_ticks = 0;
      state_.memory[kB] = sets ? value & static_cast<std::uint8_t>(~kUpdate) : value;
      if (was_set && !sets) {
        CivilTime civil;
        civil.second = decode(state_.memory[kSeconds]);
        civil.minute = decode(state_.memory[kMinutes]);
        const std::uint8_t hours = state_.memory[kHours];
        civil.hour = (value & k24Hours) != 0
                         ? decode(hours)
                         : decode(hours & 0x7f) % 12 + ((hours & kAfternoon) != 0 ? 12 : 0);
        civil.day = decode(state_.memory[kDay]);
        civil.month = decode(state_.memory[kMonth]);
        civil.year =
            static_cast<int>(decode(state_.memory[kCentury]) * 100 + decode(state_.memory[kYear]) % 100);
        set_now(from_civil(civil));
      }
      update_interrupt();
      return;
    }
    case kC:
    case kD:
      return;  // read-only
    default:
      if (is_time_register(state_.index)) {
        set_time_register(state_.index, value);
      } else {
        state_.memory[state_.index] = value;
      }
  }
}

std::uint8_t RealTimeClock::encode(unsigned value) const noexcept {
  if ((state_.memory[kB] & kBinary) != 0) return static_cast<std::uint8_t>(value);
  return static_cast<std::uint8_t>((value / 10 % 10) << 4 | value % 10);
}

unsigned RealTimeClock::decode(std::uint8_t value) const noexcept {
  if ((state_.memory[kB] & kBinary) != 0) return value;
  return (value >> 4) * 10u + (value & 0xf);
}

std::uint8_t RealTimeClock::time_register(unsigned index) const noexcept {
  const CivilTime civil = civil_time(now());
  switch (index) {
    case kSeconds:
      return encode(civil.second);
    case kMinutes:
      return encode(civil.minute);
    case kHours: {
      if ((state_.memory[kB] & k24Hours) != 0) return encode(civil.hour);
      const unsigned hour = civil.hour % 12 == 0 ? 12 : civil.hour % 12;
      return static_cast<std::uint8_t>(encode(hour) | (civil.hour >= 12 ? kAfternoon : 0));
    }
    case kWeekday:
      return encode(civil.weekday);
    case kDay:
      return encode(civil.day);
    case kMonth:
      return encode(civil.month);
    case kYear:
      return encode(static_cast<unsigned>(civil.year) % 100);
    default:
      return encode(static_cast<unsigned>(civil.year) / 100);
  }
}

void RealTimeClock::set_time_register(unsigned index, std::uint8_t value) noexcept {
  if ((state_.memory[kB] & kSet) != 0) {
    state_.memory[index] = value;
    return;
  }
  // Written while the clock runs: it takes effect at once, and the part of the second goes on.
  CivilTime civil = civil_time(now());
  const unsigned number = decode(value);
  switch (index) {
    case kSeconds:
      civil.second = number;
      break;
    case kMinutes:
      civil.minute = number;
      break;
    case kHours:
      civil.hour = (state_.memory[kB] & k24Hours) != 0
                       ? number
                       : decode(value & 0x7f) % 12 + ((value & kAfternoon) != 0 ? 12 : 0);
      break;
    case kDay:
      civil.day = number;
      break;
    case kMonth:
      civil.month = number;
      break;
    case kYear:
      civil.year = civil.year / 100 * 100 + static_cast<int>(number % 100);
      break;
    case kCentury:
      civil.year = static_cast<int>(number) * 100 + civil.year % 100;
      break;
    default:
      return;  // the day of the week follows from the date
  }
  const Nanoseconds in_second = now() - floor_to(now(), kSecond);
  set_now(from_civil(civil) + in_second);
}

RealTimeClock::Nanoseconds RealTimeClock::period() const noexcept {
  // Rates of a 32.768 kHz time base (data sheet, table 5).
  const unsigned rate = state_.memory[kA] & kRate;
  if (rate == 0) return 0;
  const unsigned shift = rate <= 2 ? rate + 6 : rate - 1;
  return kSecond * (std::int64_t{1} << shift) / 32768;
}

bool RealTimeClock::alarm_between(Nanoseconds from, Nanoseconds to) const noexcept {
  // The alarm repeats at least daily, so a day's worth of seconds tells all.
  const Nanoseconds first = floor_to(from, kSecond) + kSecond;
  const Nanoseconds last = std::min(floor_to(to, kSecond), first + 86400 * kSecond);
  const auto matches = [this](std::uint8_t alarm, unsigned value) {
    return (alarm & kDontCare) == kDontCare || decode(alarm) == value;
  };
  for (Nanoseconds at = first; at <= last; at += kSecond) {
    const CivilTime civil = civil_time(at);
    if (!matches(state_.memory[kSecondsAlarm], civil.second)) continue;
    if (!matches(state_.memory[kMinutesAlarm], civil.minute)) continue;
    const std::uint8_t hours = state_.memory[kHoursAlarm];
    const bool twelve = (state_.memory[kB] & k24Hours) == 0 && (hours & kDontCare) != kDontCare;
    const unsigned alarm_hour = decode(hours & 0x7f) % 12 + ((hours & kAfternoon) != 0 ? 12 : 0);
    if (twelve ? alarm_hour == civil.hour : matches(hours, civil.hour)) return true;
  }
  return false;
}

void RealTimeClock::check_events() noexcept {
  if ((state_.memory[kB] & kSet) != 0) return;
  const Nanoseconds from = state_.checked_until;
  const Nanoseconds to = now();
  state_.checked_until = to;
  if (to <= from) return;  // the host's clock was set back: events go on from there
  std::uint8_t flags = 0;
  if (floor_to(to, kSecond) != floor_to(from, kSecond)) {
    flags |= kUpdate;
    if (alarm_between(from, to)) flags |= kAlarm;
  }
  state_.memory[kC] |= flags;
  count_ticks(from, to);
  update_interrupt();
  if ((flags & state_.memory[kB] & kAlarm) != 0 && alarm_) alarm_();
}

void RealTimeClock::count_ticks(Nanoseconds from, Nanoseconds to) noexcept {
  const Nanoseconds every = period();
  if (every == 0) return;
  // Divided first: between the first and the last time there can be are more nanoseconds than fit.
  const Nanoseconds ticks = floor_to(to, every) / every - floor_to(from, every) / every;
  if (ticks == 0) return;
  const bool waiting = (state_.memory[kC] & kPeriodic) != 0;
  state_.memory[kC] |= kPeriodic;
  if (missed_ticks_ == MissedTicks::merge || (state_.memory[kB] & kPeriodic) == 0) return;
  // tick() comes with every period; a longer silence was a pause or a step of the host's clock.
  if (to > from + kSecond) return;
  const Nanoseconds missed = state_.missed_ticks + ticks - (waiting ? 0 : 1);
  state_.missed_ticks = static_cast<std::uint32_t>(std::min(missed, kMostMissedTicks));
}

// Register C has been read: its flags are gone, and the next of the ticks that were missed comes.
void RealTimeClock::acknowledge() noexcept {
  const bool ticked = (state_.memory[kC] & kPeriodic) != 0;
  state_.memory[kC] = 0;
  update_interrupt();
  if (!ticked || state_.missed_ticks == 0) return;
  --state_.missed_ticks;
  state_.memory[kC] = kPeriodic;
  update_interrupt();
}

void RealTimeClock::update_interrupt() noexcept {
  const bool requested = (state_.memory[kB] & state_.memory[kC] & (kPeriodic | kAlarm | kUpdate)) != 0;
  if (requested) state_.memory[kC] |= kInterruptRequest;
  interrupt_->set(requested);
}

std::optional<RealTimeClock::Nanoseconds> RealTimeClock::next_tick() const noexcept {
  const std::lock_guard lock(mutex_);
  if ((state_.memory[kB] & kSet) != 0) return std::nullopt;
  const std::uint8_t enabled = state_.memory[kB];
  std::optional<Nanoseconds> next;
  if ((enabled & (kAlarm | kUpdate)) != 0) next = floor_to(now(), kSecond) + kSecond - now();
  const Nanoseconds every = period();
  if ((enabled & kPeriodic) != 0 && every != 0) {
    const Nanoseconds until = floor_to(now(), every) + every - now();
    next = next ? std::min(*next, until) : until;
  }
  return next;
}

void RealTimeClock::tick() noexcept {
  const std::lock_guard lock(mutex_);
  check_events();
}

void RealTimeClock::reset() noexcept {
  const std::lock_guard lock(mutex_);
  // RESET# clears the interrupt enables and flags, nothing else (data sheet, "RESET").
  state_.memory[kB] &= static_cast<std::uint8_t>(~(kPeriodic | kAlarm | kUpdate));
  state_.memory[kC] = 0;
  state_.missed_ticks = 0;
  state_.index = 0;
  update_interrupt();
}

RealTimeClock::State RealTimeClock::save() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void RealTimeClock::restore(const State& state) {
  const std::lock_guard lock(mutex_);
  state_ = state;
  told_offset_ = state.offset;
  state_.index &= 0x7f;
  state_.missed_ticks = std::min(state_.missed_ticks, static_cast<std::uint32_t>(kMostMissedTicks));
  state_.checked_until = std::clamp(state_.checked_until, kEarliest, kLatest);
  update_interrupt();
}

void RealTimeClock::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.add("index", std::uint64_t{state_.index});
  node.add("a", std::uint64_t{state_.memory[kA]});
  node.add("b", std::uint64_t{state_.memory[kB]});
  node.add("c", std::uint64_t{state_.memory[kC]});
  node.add("missed_ticks", std::uint64_t{state_.missed_ticks});
  node.add("time", now() / kSecond);
}

}  // namespace warren::vmm
