#include "vmm-core/block/job/pull.h"

#include <algorithm>
#include <utility>

#include "vmm-core/block/disk_hold.h"
#include "vmm-core/block/qcow2/backing_name.h"
#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::job {

Pull::Pull(Disk& disk, ChainImage& image, PullOptions options)
    : disk_(disk),
      image_(image),
      options_(std::move(options)),
      last_(options_.base.value_or(image.chain().size())),
      size_(image.chain().front().layer->size()) {
  const Chain& chain = image_.chain();
  if (chain.size() < 2) throw Error(std::errc::invalid_argument, disk_.name() + ": is backed by nothing");
  if (last_ > chain.size() || last_ < 2 || (options_.base && last_ == chain.size()))
    throw Error(std::errc::invalid_argument, disk_.name() + ": there is nothing to pull down to image " +
                                                 std::to_string(last_) + " of its chain of " +
                                                 std::to_string(chain.size()));
  if (image_.read_only()) throw Error(std::errc::read_only_file_system, disk_.name() + ": read-only");
  // So that there is room at the end, when all is done.
  qcow2::plan_backing_name(chain.front().qcow2->host_file(), chain.front().name, options_.backing_file,
                           options_.backing_format);
  tell(0, size_);
}

Work::Step Pull::step() noexcept {
  if (at_ >= size_) return {.next = Next::done};
  Allocation own;
  if (const int error = image_.chain().front().layer->allocation(at_, size_ - at_, own))
    return {.error = error};
  Step step;
  if (own.kind == Allocation::Kind::below) {
    step = take_over(own.length);
  } else {
    at_ += own.length;
  }
  tell(at_, size_);
  return step;
}

Work::Step Pull::take_over(std::uint64_t length) noexcept {
  const Chain& chain = image_.chain();
  qcow2::File& top = *chain.front().qcow2;
  Allocation found;
  Step step;
  step.error = find_data(chain, 1, last_, at_, length, found);
  if (step.error != 0) return step;
  if (found.kind == Allocation::Kind::data) {
    found.length = std::min(found.length, kMaximumPiece - at_ % kMaximumPiece);
    step.error = buffer_.read(chain, 1, at_, found.length);
    if (step.error == 0) step.error = top.fill(at_, buffer_.bytes());
    step.bytes = found.length;
  } else if (found.kind == Allocation::Kind::zeros && options_.base) {
    // What stays below may have something there; without it, nothing is as good.
    step.error = top.fill_zeroes(at_, found.length);
  }
  if (step.error == 0) at_ += found.length;
  return step;
}

bool Pull::must_look_again() const noexcept {
  const Chain& chain = image_.chain();
  return options_.base && chain[last_].layer->size() > chain[1].layer->size() &&
         chain[1].layer->size() < size_;
}

void Pull::finish(bool) {
  qcow2::File& top = *image_.chain().front().qcow2;
  const auto complete = [&] {
    if (const int error = top.flush()) throw Error::from_errno(error, top.name() + ": flush");
    top.set_backing_name(options_.backing_file, options_.backing_format);
  };
  if (!must_look_again()) complete();
  change_chain();
}

void Pull::change_chain() {
  qcow2::File& top = *image_.chain().front().qcow2;
  const std::shared_ptr<Layer> before = top.backing();
  const std::shared_ptr<Layer> after = options_.base ? image_.chain()[last_].layer : nullptr;
  Chain chain = image_.chain();
  chain.erase(chain.begin() + 1, chain.begin() + static_cast<std::ptrdiff_t>(last_));
  DiskHold hold(disk_);
  if (must_look_again()) {
    at_ = image_.chain()[1].layer->size();
    Step last;
    while ((last = step()).next != Next::done) {
      if (last.error != 0) throw Error::from_errno(last.error, top.name() + ": pull");
    }
    if (const int error = top.flush()) throw Error::from_errno(error, top.name() + ": flush");
    top.set_backing_name(options_.backing_file, options_.backing_format);
  }
  hold.change(
      [&] {
        chain = image_.exchange(std::move(chain));
        top.set_backing(after);
      },
      [&] {
        top.set_backing(before);
        chain = image_.exchange(std::move(chain));
      });
}

}  // namespace warren::vmm::block::job
