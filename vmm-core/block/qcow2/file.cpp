#include "vmm-core/block/qcow2/file.h"

#include <algorithm>
#include <cerrno>

#include "vmm-core/block/qcow2/backing_name.h"
#include "vmm-core/block/qcow2/check.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::block::qcow2 {
namespace {
constexpr std::size_t kCopyBytes = std::size_t{64} << 10;
}

File::File(std::unique_ptr<HostFile> file, const std::string& name, const FileOptions& options,
           std::unique_ptr<HostFile> data, std::shared_ptr<Layer> backing)
    : name_(name),
      options_(options),
      file_(std::move(file)),
      data_(std::move(data)),
      backing_(std::move(backing)) {
  Header header = read_header(*file_, name_);
  if (header.has_external_data() != (data_ != nullptr)) {
    throw Error(std::errc::invalid_argument,
                name_ + (data_ ? ": has no external data, but a file for it was given"
                               : ": its data is in a file of its own, which was not given"));
  }
  // "make sure to scan L1/L2 tables to repair refcounts before accessing the image"; who only reads has no
  // use for them.
  if (header.is_dirty() && !options_.read_only) {
    repair(*file_, name_, RepairLevel::all);
    header = read_header(*file_, name_);
  }
  geometry_ = header.geometry;
  size_.store(header.size);
  decompressor_ = std::make_unique<Decompressor>(header.compression);
  // A cache for the whole disk, when that is smaller than it may be.
  const std::uint64_t whole =
      header.geometry.l1_entries_for(std::max<std::uint64_t>(header.size, 1)) * geometry_.cluster_size();
  const Metadata::Options metadata{.writable = !options_.read_only,
                                   .cache_bytes = std::min(options_.cache_bytes, whole),
                                   .discard = options_.discard};
  metadata_ = std::make_unique<Metadata>(*file_, data_.get(), std::move(header), metadata, name_);
  data_end_.store(this->data().size());
  if (!options_.read_only) buffer_.resize(kCopyBytes);
}

File::~File() {
  const std::lock_guard lock(owner_);
  finish(metadata_->close());
}

void File::add_files(std::vector<HostFile*>& files) {
  files.push_back(&data());
  if (backing_) backing_->add_files(files);
}

int File::finish(int error) noexcept {
  metadata_->update_needs_commit();
  if (metadata_->file().is_corrupt()) metadata_->tell_corruption();
  return error;
}

int File::read(std::uint64_t offset, std::uint64_t length, Scatter& to) noexcept {
  const std::lock_guard lock(owner_);
  // That it cannot be kept is no error of the read.
  if (options_.copy_on_read && backing_ && metadata_->begin_changes() == 0) copy_up(offset, length);
  return finish(read_locked(offset, length, to));
}

int File::write(std::uint64_t offset, std::uint64_t length, Scatter& from) noexcept {
  const std::lock_guard lock(owner_);
  const int error = metadata_->begin_changes();
  return finish(error != 0 ? error : write_locked(offset, length, from));
}

int File::write_zeroes(std::uint64_t offset, std::uint64_t length, bool may_unmap) noexcept {
  const std::lock_guard lock(owner_);
  const int error = metadata_->begin_changes();
  return finish(error != 0 ? error : zero_locked(offset, length, may_unmap));
}

int File::discard(std::uint64_t offset, std::uint64_t length) noexcept {
  const std::lock_guard lock(owner_);
  const int error = metadata_->begin_changes();
  return finish(error != 0 ? error : discard_locked(offset, length));
}

int File::flush() noexcept {
  const std::lock_guard lock(owner_);
  return finish(metadata_->commit());
}

void File::check(int error, const char* what) const {
  if (error != 0) throw Error::from_errno(error, name_ + ": " + what);
}

void File::close() {
  const std::lock_guard lock(owner_);
  check(finish(metadata_->close()), "write back the metadata");
}

void File::set_backing(std::shared_ptr<Layer> backing) noexcept {
  const std::lock_guard lock(owner_);
  backing_.swap(backing);
}

void File::set_backing_name(const std::string& file, const std::string& format) {
  const std::lock_guard lock(owner_);
  check(metadata_->begin_changes(), "change the backing file's name");
  const BackingNameChange change = plan_backing_name(*file_, name_, file, format);
  if (change.outside) {
    const auto bytes = std::as_bytes(std::span(file));
    check(metadata_->file().write(Structure::header, *change.outside, bytes),
          "write the backing file's name");
    check(metadata_->sync(), "write the backing file's name");
  }
  check(metadata_->header_store().change([&](Header& header) { header.sector = change.sector; }),
        "write the backing file's name");
  check(metadata_->sync(), "write the backing file's name");
}

std::vector<Snapshot> File::snapshots() const {
  const std::lock_guard lock(owner_);
  return read_snapshots(*file_, header(), name_).snapshots;
}

}  // namespace warren::vmm::block::qcow2
