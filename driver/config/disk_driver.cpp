#include "driver/config/disk_driver.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "driver/config/domain_names.h"
#include "driver/config/domain_xml_parts.h"
#include "driver/config/xml_values.h"
#include "driver/contract/error.h"

namespace warren::driver::config {

namespace {

constexpr std::uint32_t kMostQueues = 256;

DiskIoThread parse_iothread(XmlElement& element, const std::vector<DiskIoThread>& others) {
  DiskIoThread thread{.id = require_number(element, "id", 1, kMaximumTuned), .queues = {}};
  if (std::ranges::any_of(others, [&](const DiskIoThread& other) { return other.id == thread.id; }))
    throw element.malformed_attribute("id", fmt::format("IOThread {} is there twice", thread.id));
  for (XmlElement* child : element.children("queue")) {
    const std::uint32_t queue = require_number(*child, "id", 0, kMostQueues - 1);
    const auto serves = [queue](const DiskIoThread& each) {
      return std::ranges::find(each.queues, queue) != each.queues.end();
    };
    if (serves(thread) || std::ranges::any_of(others, serves))
      throw child->malformed_attribute("id", fmt::format("queue {} is served twice", queue));
    thread.queues.push_back(queue);
  }
  std::ranges::sort(thread.queues);
  return thread;
}

// Either no IOThread names queues, or all do, and there is one for each queue.
void check_queues(XmlElement& element, const DiskDriver& driver) {
  const auto names_none = [](const DiskIoThread& thread) { return thread.queues.empty(); };
  if (std::ranges::all_of(driver.iothreads, names_none)) {
    if (driver.queues && driver.iothreads.size() > *driver.queues)
      throw element.unsupported(
          fmt::format("there are {} IOThreads for {} queues", driver.iothreads.size(), *driver.queues));
    return;
  }
  if (std::ranges::any_of(driver.iothreads, names_none))
    throw element.malformed("some of its IOThreads name queues; all have to, or none");
  std::size_t served = 0;
  for (const DiskIoThread& thread : driver.iothreads) served += thread.queues.size();
  const std::size_t queues = driver.queues.value_or(static_cast<std::uint32_t>(served));
  for (const DiskIoThread& thread : driver.iothreads) {
    if (thread.queues.back() < queues) continue;
    throw element.malformed(
        fmt::format("IOThread {} is to serve queue {}, and the disk's {} queues are from 0 on", thread.id,
                    thread.queues.back(), queues));
  }
  // No queue is served twice, and none is beyond the last.
  if (served != queues)
    throw element.malformed(fmt::format("{} of the disk's {} queues are served", served, queues));
}

std::vector<DiskIoThread> parse_iothread_list(XmlElement& driver) {
  std::vector<DiskIoThread> threads;
  XmlElement* list = driver.child("iothreads");
  if (!list) return threads;
  if (driver.attribute("iothread"))
    throw driver.malformed_attribute("iothread", "it and <iothreads> exclude each other");
  for (XmlElement* child : list->children("iothread")) threads.push_back(parse_iothread(*child, threads));
  if (threads.empty()) throw list->malformed("it names no <iothread>");
  return threads;
}

void format_iothread_list(XmlWriter& writer, const std::vector<DiskIoThread>& threads) {
  if (threads.empty()) return;
  writer.begin("iothreads");
  for (const DiskIoThread& thread : threads) {
    writer.begin("iothread");
    writer.attribute("id", thread.id);
    for (const std::uint32_t queue : thread.queues) {
      writer.begin("queue");
      writer.attribute("id", queue);
      writer.end();
    }
    writer.end();
  }
  writer.end();
}

}  // namespace

DiskDriver parse_disk_driver(XmlElement& element) {
  DiskDriver driver;
  if (element.attribute("name") != kCagedDriver) {
    driver.name_qemu = accept_only(element, "name", "qemu");
    driver.format = read_enum(element, "type", names::kDiskFormat);
  }
  driver.cache = read_enum(element, "cache", names::kDiskCache);
  driver.io = read_enum(element, "io", names::kDiskIo);
  driver.discard = read_enum(element, "discard", names::kDiskDiscard);
  driver.detect_zeroes = read_enum(element, "detect_zeroes", names::kDiskDetectZeroes);
  driver.copy_on_read = read_on_off(element, "copy_on_read");
  driver.error_policy = read_enum(element, "error_policy", names::kDiskErrorPolicy);
  driver.read_error_policy = read_enum(element, "rerror_policy", names::kDiskErrorPolicy);
  if (driver.read_error_policy == DiskErrorPolicy::enospace)
    throw element.malformed_attribute("rerror_policy", "'enospace' is for writes; reads need no space");
  driver.queues = read_number(element, "queues", 1, kMostQueues);
  driver.iothread = read_number(element, "iothread", 1, kMaximumTuned);
  driver.iothreads = parse_iothread_list(element);
  driver.queue_size = read_power_of_two(element, "queue_size", 2, 1024);
  driver.packed = read_on_off(element, "packed");
  if (!driver.iothreads.empty()) check_queues(*element.child("iothreads"), driver);
  return driver;
}

void format_disk_driver(XmlWriter& writer, const Disk& disk) {
  const DiskDriver& driver = disk.driver;
  if (driver == DiskDriver{} && !disk.caged) return;
  const auto on_off = [&writer](std::string_view name, std::optional<bool> value) {
    if (value) writer.attribute(name, *value ? "on" : "off");
  };
  writer.begin("driver");
  if (disk.caged) {
    writer.attribute("name", kCagedDriver);
    writer.attribute("type", names::kCagedFormat.name(disk.caged->format));
  }
  if (driver.name_qemu) writer.attribute("name", "qemu");
  if (driver.format) writer.attribute("type", names::kDiskFormat.name(*driver.format));
  if (driver.cache) writer.attribute("cache", names::kDiskCache.name(*driver.cache));
  if (driver.error_policy)
    writer.attribute("error_policy", names::kDiskErrorPolicy.name(*driver.error_policy));
  if (driver.read_error_policy)
    writer.attribute("rerror_policy", names::kDiskErrorPolicy.name(*driver.read_error_policy));
  if (driver.io) writer.attribute("io", names::kDiskIo.name(*driver.io));
  on_off("copy_on_read", driver.copy_on_read);
  if (driver.discard) writer.attribute("discard", names::kDiskDiscard.name(*driver.discard));
  if (driver.detect_zeroes)
    writer.attribute("detect_zeroes", names::kDiskDetectZeroes.name(*driver.detect_zeroes));
  if (driver.iothread) writer.attribute("iothread", *driver.iothread);
  if (driver.queues) writer.attribute("queues", *driver.queues);
  if (driver.queue_size) writer.attribute("queue_size", *driver.queue_size);
  on_off("packed", driver.packed);
  format_iothread_list(writer, driver.iothreads);
  writer.end();
}

void check_disk_driver(XmlElement& element, const Disk& disk) {
  XmlElement* driver = element.child("driver");
  if (driver == nullptr) return;
  if (disk.driver.copy_on_read == true && disk.read_only) {
    throw driver->unsupported_attribute(
        "copy_on_read", fmt::format("copy_on_read is not compatible with read-only disk '{}'", disk.target));
  }
  const DiskCache cache = disk.driver.cache.value_or(DiskCache::default_mode);
  if (disk.driver.io == DiskIo::native && cache != DiskCache::none && cache != DiskCache::directsync) {
    throw driver->unsupported_attribute(
        "io",
        "native I/O needs either no disk cache or directsync cache mode: give cache='none', or io='threads'");
  }
}

void check_driver_without_queues(XmlElement& element, const Disk& disk, std::string_view bus,
                                 std::string_view advice) {
  XmlElement* driver = element.child("driver");
  const std::string refusal =
      fmt::format("IOThreads not available for bus {} target {}{}", bus, disk.target, advice);
  if (disk.driver.iothread) throw driver->unsupported_attribute("iothread", refusal);
  if (!disk.driver.iothreads.empty()) throw driver->child("iothreads")->unsupported(refusal);
  for (const auto& [is_given, name] : {std::pair(disk.driver.queues.has_value(), "queues"),
                                       std::pair(disk.driver.queue_size.has_value(), "queue_size"),
                                       std::pair(disk.driver.packed.has_value(), "packed")})
    if (is_given) throw driver->unsupported_attribute(name, "only virtio disks have it");
}

std::vector<std::uint32_t> iothreads_of(const DiskDriver& driver) {
  std::vector<std::uint32_t> ids;
  if (driver.iothread) ids.push_back(*driver.iothread);
  for (const DiskIoThread& thread : driver.iothreads) ids.push_back(thread.id);
  return ids;
}

std::uint32_t queues_of(const DiskDriver& driver) {
  if (driver.queues) return *driver.queues;
  const auto mapped = static_cast<std::uint32_t>(queue_iothreads_of(driver).size());
  return std::max(mapped, 1u);
}

std::vector<std::uint32_t> queue_iothreads_of(const DiskDriver& driver) {
  std::vector<std::uint32_t> threads;
  for (const DiskIoThread& thread : driver.iothreads) {
    if (thread.queues.empty()) threads.push_back(thread.id);
    for (const std::uint32_t queue : thread.queues) {
      threads.resize(std::max<std::size_t>(threads.size(), queue + std::size_t{1}));
      threads[queue] = thread.id;
    }
  }
  return threads;
}

}  // namespace warren::driver::config
