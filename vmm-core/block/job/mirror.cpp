#include "vmm-core/block/job/mirror.h"

#include <algorithm>
#include <utility>

#include "vmm-core/block/disk_hold.h"
#include "vmm-core/block/qcow2/create.h"
#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/block/raw_file.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::job {
namespace {

constexpr std::uint64_t kMostTaken = std::uint64_t{64} << 20;  // at a time
constexpr std::uint64_t kLittle = std::uint64_t{4} << 20;      // what can wait for the end of a job

void make_image(const ChainLink& target, const CopyOptions::New& make, std::uint64_t bytes) {
  if (target.nbd) return;  // has the size that it has, and what there is will be overwritten
  RawFile file(std::make_unique<RawImage>(target.descriptor.duplicate(), target.name,
                                          RawImageOptions{.direct = target.direct,
                                                          .alignment = target.alignment,
                                                          .use_io_uring = false,
                                                          .owns_locks = false}));
  if (target.format == ImageFormat::qcow2) {
    return qcow2::create(
        file, {.size = bytes, .backing_file = make.backing_file, .backing_format = make.backing_format},
        target.name);
  }
  // A device has the size that it has, and what there is will be overwritten.
  if (!file.grows()) return;
  int error = file.resize(0);
  if (error == 0) error = file.resize(bytes);
  if (error != 0) throw Error::from_errno(error, target.name + ": resize");
}

}  // namespace

std::unique_ptr<Mirror> Mirror::copy(Disk& disk, ChainImage& image, CopyOptions options) {
  const Chain& chain = image.chain();
  ChainLink& target = options.target;
  check_place(chain, target, chain.size());
  const bool is_backed = options.shallow && chain.size() > 1;
  if (is_backed && target.format == ImageFormat::raw)
    throw Error(std::errc::invalid_argument,
                disk.name() + ": a raw image cannot be backed by what the disk is");
  if (options.make) make_image(target, *options.make, image.size());
  return copy(disk, image,
              open_node(std::move(target), image.options(), false, is_backed ? chain[1].layer : nullptr),
              options.shallow);
}

std::unique_ptr<Mirror> Mirror::copy(Disk& disk, ChainImage& image, ChainNode target, bool shallow) {
  Plan plan;
  plan.layers = shallow ? 1 : image.chain().size();
  plan.all = plan.layers == image.chain().size();
  plan.target = std::move(target);
  if (plan.target.layer->size() < image.size())
    throw Error(std::errc::invalid_argument, disk.name() + ": the target of the copy holds " +
                                                 std::to_string(plan.target.layer->size()) +
                                                 " bytes, and the disk has " + std::to_string(image.size()));
  std::unique_ptr<Mirror> mirror(new Mirror(disk, image, std::move(plan)));
  mirror->follow();
  return mirror;
}

std::unique_ptr<Mirror> Mirror::commit(Disk& disk, ChainImage& image, std::size_t base,
                                       ChainLink base_image) {
  const Chain& chain = image.chain();
  if (base == 0 || base >= chain.size())
    throw Error(std::errc::invalid_argument, disk.name() + ": image " + std::to_string(base) +
                                                 " is not below the first of its chain of " +
                                                 std::to_string(chain.size()));
  check_place(chain, base_image, base);
  return commit(disk, image, base,
                open_node(std::move(base_image), image.options(), false,
                          base + 1 < chain.size() ? chain[base + 1].layer : nullptr));
}

std::unique_ptr<Mirror> Mirror::commit(Disk& disk, ChainImage& image, std::size_t base, ChainNode opened) {
  Plan plan;
  plan.layers = base;
  std::unique_ptr<Mirror> mirror(new Mirror(disk, image, std::move(plan)));
  mirror->plan_.base = std::make_unique<WritableBase>(disk, image, base, std::move(opened), image.size());
  try {
    mirror->follow();
  } catch (...) {
    mirror->give_up();
    throw;
  }
  return mirror;
}

Mirror::Mirror(Disk& disk, ChainImage& image, Plan plan)
    : disk_(disk),
      image_(image),
      plan_(std::move(plan)),
      map_(image.size()),
      little_(std::max(kLittle, map_.part())),
      size_(image.size()) {
  tell(0, size_);
}

void Mirror::follow() {
  {
    DiskHold hold(disk_);
    hold.follow(&map_);
  }
  followed_ = true;
  map_.mark(0, size_);
}

Mirror::~Mirror() {
  if (!followed_) return;
  DiskHold hold(disk_);
  hold.follow(nullptr);
}

Work::Step Mirror::step() noexcept {
  Step step;
  if (range_.length == 0) {
    const auto next = map_.take(kMostTaken);
    if (next) range_ = *next;
  }
  if (range_.length != 0) {
    step = move_piece();
  } else {
    step.next = Next::idle;
  }
  if (step.next == Next::idle || (passed_ >= size_ && left() <= little_)) become_ready();
  tell_progress();
  return step;
}

// Of a place without data. What is left to others reads as zeros where there are none: a guest that zeroed or
// discarded something there may have nothing to show for it. And a target that has nothing there either is
// not to say so.
int Mirror::look_behind(Allocation& found) noexcept {
  const std::uint64_t backed = plan_.all ? 0 : image_.chain()[plan_.layers].layer->size();
  if (range_.offset < backed) {
    found.length = std::min(found.length, backed - range_.offset);
    return 0;
  }
  const std::uint64_t length = found.length;
  if (const int error = target().layer->allocation(range_.offset, length, found)) return error;
  found.length = std::min(found.length, length);
  if (found.kind == Allocation::Kind::data) found.kind = Allocation::Kind::zeros;
  return 0;
}

Work::Step Mirror::move_piece() noexcept {
  Step step;
  Allocation found;
  step.error =
      find_data(image_.chain(), 0, plan_.layers, range_.offset, std::min(range_.length, kMostTaken), found);
  if (step.error != 0) return step;
  if (found.kind != Allocation::Kind::data) step.error = look_behind(found);
  if (step.error != 0) return step;
  if (found.kind == Allocation::Kind::data) {
    found.length = std::min(found.length, kMaximumPiece);
    step.error = buffer_.read(image_.chain(), 0, range_.offset, found.length);
    Scatter from = buffer_.contents();
    if (step.error == 0) step.error = target().write(range_.offset, found.length, from);
    step.bytes = found.length;
  } else if (found.kind == Allocation::Kind::zeros) {
    // In the base of a commit the space is kept: a transfer of the guest that began before it was covered may
    // still read there.
    step.error = target().zero(range_.offset, found.length, plan_.base == nullptr);
  }
  if (step.error != 0) return step;
  range_.offset += found.length;
  range_.length -= found.length;
  passed_ += found.length;
  return step;
}

void Mirror::tell_progress() noexcept {
  const std::uint64_t rest = left();
  // Of a job that is ready what is left is nothing to speak of, but when the guest writes faster than this.
  tell(passed_, is_ready() && rest <= little_ ? passed_ : passed_ + rest);
}

// Nothing comes after it while the disk is held.
void Mirror::catch_up() {
  Step last;
  while ((last = step()).next != Next::idle) {
    if (last.error != 0) throw Error::from_errno(last.error, target().name + ": copy");
  }
  if (const int error = target().flush()) throw Error::from_errno(error, target().name + ": flush");
}

Chain Mirror::chain_after() const {
  const Chain& chain = image_.chain();
  if (plan_.base) return {chain.begin() + static_cast<std::ptrdiff_t>(plan_.layers), chain.end()};
  Chain after;
  after.push_back(plan_.target);
  if (!plan_.all) after.insert(after.end(), chain.begin() + 1, chain.end());
  return after;
}

void Mirror::finish(bool pivot) {
  Chain other = chain_after();  // afterwards what is not used any more, which goes after the hold
  // A last look while the guest goes on, so that it waits for little.
  const std::uint64_t most = passed_ + left() + size_;  // it may write as fast as this reads
  while (left() > little_ && passed_ < most) {
    if (const int error = step().error) throw Error::from_errno(error, target().name + ": copy");
  }
  if (const int error = target().flush()) throw Error::from_errno(error, target().name + ": flush");
  {
    DiskHold hold(disk_);
    catch_up();
    if (pivot) {
      const auto exchange = [&] { other = image_.exchange(std::move(other)); };
      hold.change(exchange, exchange);
      if (plan_.base) plan_.base->keep();
    } else if (plan_.base) {
      plan_.base->close();
    } else if (plan_.target.qcow2 != nullptr) {
      plan_.target.qcow2->close();
    }
    hold.follow(nullptr);
    followed_ = false;
  }
  if (!pivot && plan_.base) plan_.base->restore();
  plan_.target = {};
  tell(passed_, passed_);
}

void Mirror::give_up() noexcept {
  if (followed_) {
    DiskHold hold(disk_);
    hold.follow(nullptr);
  }
  followed_ = false;
  if (plan_.base) plan_.base->restore();
}

}  // namespace warren::vmm::block::job
