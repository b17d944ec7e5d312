#include "vmm-core/block/job/commit.h"

#include <algorithm>
#include <utility>

#include "vmm-core/block/disk_hold.h"
#include "vmm-core/block/qcow2/backing_name.h"
#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/block/raw_file.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::job {

namespace {

const CommitPlan& checked(const CommitPlan& plan, const Disk& disk, const ChainImage& image) {
  const std::size_t length = image.chain().size();
  if (plan.top == 0 || plan.base <= plan.top || plan.base >= length)
    throw Error(std::errc::invalid_argument, disk.name() + ": images " + std::to_string(plan.top) + " to " +
                                                 std::to_string(plan.base) + " are not in its chain of " +
                                                 std::to_string(length));
  return plan;
}

ChainNode open_base(const ChainImage& image, const CommitPlan& plan, ChainLink link) {
  const Chain& chain = image.chain();
  check_place(chain, link, plan.base);
  ChainOptions options = image.options();
  options.copy_on_read = false;  // that is the disk's first image alone
  return open_node(std::move(link), options, false,
                   plan.base + 1 < chain.size() ? chain[plan.base + 1].layer : nullptr);
}

std::unique_ptr<HostFile> open_overlay(const ChainImage& image, const CommitPlan& plan,
                                       std::optional<ChainLink> link) {
  if (!link) return nullptr;
  check_place(image.chain(), *link, plan.top - 1);
  return std::make_unique<RawFile>(std::make_unique<RawImage>(
      std::move(link->descriptor), link->name,
      RawImageOptions{.direct = link->direct, .alignment = link->alignment, .use_io_uring = false}));
}

}  // namespace

Commit::Commit(Disk& disk, ChainImage& image, CommitPlan plan, CommitFiles files)
    : Commit(disk, image, plan, open_base(image, checked(plan, disk, image), std::move(files.base)),
             open_overlay(image, plan, std::move(files.overlay))) {}

Commit::Commit(Disk& disk, ChainImage& image, CommitPlan plan, ChainNode base,
               std::unique_ptr<HostFile> overlay)
    : disk_(disk), image_(image), plan_(checked(plan, disk, image)), overlay_(std::move(overlay)) {
  const Chain& chain = image_.chain();
  if ((overlay_ != nullptr) != (plan_.top > 1))
    throw Error(std::errc::invalid_argument,
                disk_.name() +
                    ": the image above the commit, unless it is the first, needs to be opened for writing");
  if (!overlay_ && image_.read_only())
    throw Error(std::errc::read_only_file_system, disk_.name() + ": read-only");
  if (overlay_)
    overlay_claim_.emplace(host_file_of(chain[plan_.top - 1]), *overlay_, chain[plan_.top - 1].name);
  // So that there is room at the end, when all is done.
  qcow2::plan_backing_name(overlay_file(), chain[plan_.top - 1].name, plan_.backing_file,
                           plan_.backing_format);
  const std::uint64_t above = chain[plan_.top].layer->size();
  // Behind the end of what goes, the image above reads zeros, and is to go on so.
  size_ = std::max(above, base.layer->size());
  base_ = std::make_unique<WritableBase>(disk_, image_, plan_.base, std::move(base), above);
  tell(0, size_);
}

HostFile& Commit::overlay_file() const noexcept {
  return overlay_ ? *overlay_ : image_.chain()[plan_.top - 1].qcow2->host_file();
}

Work::Step Commit::step() noexcept {
  if (at_ >= size_) return {.next = Next::done};
  const Chain& chain = image_.chain();
  Allocation found;
  Step step;
  step.error = find_data(chain, plan_.top, plan_.base, at_, size_ - at_, found);
  if (step.error != 0) return step;
  if (found.kind == Allocation::Kind::data) {
    found.length = std::min(found.length, kMaximumPiece - at_ % kMaximumPiece);
    step.error = buffer_.read(chain, plan_.top, at_, found.length);
    Scatter from = buffer_.contents();
    if (step.error == 0) step.error = base_->node().write(at_, found.length, from);
    step.bytes = found.length;
  } else if (found.kind == Allocation::Kind::zeros) {
    // The space is kept: a transfer of the guest that began before it was covered may still read there.
    found.length = std::min(found.length, kMaximumPiece * 64);
    step.error = base_->node().zero(at_, found.length, false);
  }
  if (step.error == 0) at_ += found.length;
  tell(at_, size_);
  return step;
}

void Commit::rename_backing() {
  if (overlay_) {
    qcow2::write_backing_name(*overlay_, image_.chain()[plan_.top - 1].name, plan_.backing_file,
                              plan_.backing_format);
  } else {
    image_.chain().front().qcow2->set_backing_name(plan_.backing_file, plan_.backing_format);
  }
}

void Commit::finish(bool) {
  base_->close();
  rename_backing();
  change_chain();
  overlay_claim_.reset();
}

void Commit::change_chain() {
  qcow2::File& overlay = *image_.chain()[plan_.top - 1].qcow2;
  const std::shared_ptr<Layer> before = overlay.backing();
  const ChainNode base = base_->read_only_node();
  Chain chain = with_node(image_.chain(), plan_.base, base);
  chain.erase(chain.begin() + static_cast<std::ptrdiff_t>(plan_.top),
              chain.begin() + static_cast<std::ptrdiff_t>(plan_.base));
  {
    DiskHold hold(disk_);
    hold.change(
        [&] {
          chain = image_.exchange(std::move(chain));
          overlay.set_backing(base.layer);
        },
        [&] {
          overlay.set_backing(before);
          chain = image_.exchange(std::move(chain));
        });
  }
  // `chain` still has the base that was written: its locks are somebody's all the time.
  base_->give_back();
}

}  // namespace warren::vmm::block::job
