#include "vmm-core/block/job/writable_base.h"

#include <exception>
#include <utility>

#include "vmm-core/block/disk_hold.h"
#include "vmm-core/block/qcow2/file.h"
#include "vmm-core/block/raw_file.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::job {
namespace {

// The chain that it was.
Chain put(Disk& disk, ChainImage& image, std::size_t place, const ChainNode& node) {
  Chain chain = with_node(image.chain(), place, node);
  qcow2::File& above = *image.chain()[place - 1].qcow2;
  const std::shared_ptr<Layer> layers[] = {node.layer, above.backing()};
  DiskHold hold(disk);
  hold.change(
      [&] {
        chain = image.exchange(std::move(chain));
        above.set_backing(layers[0]);
      },
      [&] {
        above.set_backing(layers[1]);
        chain = image.exchange(std::move(chain));
      });
  return chain;
}

}  // namespace

HostFile& host_file_of(const ChainNode& node) noexcept {
  return node.qcow2 != nullptr ? node.qcow2->host_file() : node.raw->file();
}

Chain with_node(const Chain& chain, std::size_t place, const ChainNode& node) {
  Chain changed = chain;
  changed[place] = node;
  return changed;
}

WritableBase::WritableBase(Disk& disk, ChainImage& image, std::size_t place, ChainNode opened,
                           std::uint64_t bytes)
    : disk_(disk), image_(image), place_(place), before_(image.chain()[place]) {
  claim_.emplace(host_file_of(before_), host_file_of(opened), opened.name);
  if (opened.layer->size() < bytes) opened.resize(bytes);
  put(disk_, image_, place_, opened);
}

void WritableBase::close() {
  const ChainNode& written = node();
  if (written.qcow2 != nullptr) return written.qcow2->close();
  if (const int error = written.flush()) throw Error::from_errno(error, written.name + ": flush");
}

ChainNode WritableBase::read_only_node() noexcept {
  stays_open_ = false;
  try {
    const Chain& chain = image_.chain();
    return open_again(before_, image_.options(),
                      place_ + 1 < chain.size() ? chain[place_ + 1].layer : nullptr);
  } catch (const std::exception&) {
    stays_open_ = true;
    return node();
  }
}

void WritableBase::restore() noexcept {
  try {
    close();
  } catch (const std::exception&) {
    // What a failed sync may have lost was never needed: the layers above have it.
  }
  try {
    const Chain written = put(disk_, image_, place_, read_only_node());
    give_back();
  } catch (const std::exception&) {
    // No memory or no rings for other queues: it stays open for writing, and nobody writes.
    keep();
  }
}

void WritableBase::give_back() noexcept {
  if (stays_open_) keep();
  claim_.reset();
}

}  // namespace warren::vmm::block::job
