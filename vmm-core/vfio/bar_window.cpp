#include "vmm-core/vfio/bar_window.h"

#include <algorithm>
#include <utility>

#include "vmm-core/os/error.h"

namespace warren::vmm::vfio {

BarWindow::BarWindow(DeviceFile& file, MemorySlots& slots, Region region)
    : file_(file), slots_(slots), region_(std::move(region)) {}

BarWindow::~BarWindow() {
  disappear();
  for (const Pages& pages : pages_) file_.unmap(pages.host, pages.area.size);
}

void BarWindow::intercept(std::uint64_t offset, std::uint64_t size, IoHandler& handler) {
  const auto free = std::ranges::find(intercepts_, nullptr, &Intercept::handler);
  if (free == intercepts_.end()) throw Error(std::errc::invalid_argument, "a BAR with more than two tables");
  *free = {offset, size, &handler};
  region_.mappable = without(region_.mappable, offset, size);
}

void BarWindow::map_pages() {
  pages_.reserve(region_.mappable.size());
  for (const Area& area : region_.mappable) {
    if (std::byte* host = file_.map(region_.position + area.offset, area.size); host != nullptr)
      pages_.push_back({area, host, false});
  }
}

void BarWindow::appear(GuestAddress address) noexcept {
  disappear();
  address_ = address;
  for (Pages& pages : pages_)
    pages.in_guest = slots_.add({address.value + pages.area.offset}, pages.area.size, pages.host);
}

void BarWindow::disappear() noexcept {
  if (!address_) return;
  for (Pages& pages : pages_)
    if (std::exchange(pages.in_guest, false)) slots_.remove({address_->value + pages.area.offset});
  address_.reset();
}

const BarWindow::Intercept* BarWindow::find(std::uint64_t offset, std::size_t size,
                                            bool& partly) const noexcept {
  for (const Intercept& each : intercepts_) {
    if (each.handler == nullptr || offset >= each.offset + each.size || each.offset >= offset + size)
      continue;
    if (offset >= each.offset && offset + size <= each.offset + each.size) return &each;
    partly = true;
  }
  return nullptr;
}

void BarWindow::read(std::uint64_t offset, std::span<std::byte> data) noexcept {
  bool partly = false;
  if (const Intercept* found = find(offset, data.size(), partly)) {
    found->handler->read(offset - found->offset, data);
  } else if (partly || !file_.read(region_.position + offset, data)) {
    std::ranges::fill(data, std::byte{0xff});
  }
}

void BarWindow::write(std::uint64_t offset, std::span<const std::byte> data) noexcept {
  bool partly = false;
  if (const Intercept* found = find(offset, data.size(), partly)) {
    found->handler->write(offset - found->offset, data);
  } else if (!partly) {
    // What the device refuses is lost, as on a bus.
    (void)file_.write(region_.position + offset, data);
  }
}

void BarWindow::inspect(InspectNode& node) const {
  std::uint64_t mapped = 0, in_guest = 0;
  for (const Pages& pages : pages_) {
    mapped += pages.area.size;
    if (pages.in_guest) in_guest += pages.area.size;
  }
  node.add("size", region_.size);
  node.add("mappable", mapped);
  node.add("mapped", in_guest);
}

}  // namespace warren::vmm::vfio
