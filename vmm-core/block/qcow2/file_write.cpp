// Writing: into clusters that are there, and into new ones with what was around the written part.
#include <algorithm>
#include <cerrno>

#include "vmm-core/block/qcow2/file.h"

namespace warren::vmm::block::qcow2 {

// How much from `offset` on, within its cluster, is data that nobody else refers to.
std::uint64_t File::writable_bytes(const Cluster& cluster, std::uint64_t offset,
                                   std::uint64_t length) const noexcept {
  if (cluster.kind != Cluster::Kind::standard || !cluster.copied) return 0;
  const std::uint64_t in = offset & geometry_.cluster_mask();
  const std::uint64_t size = geometry_.subcluster_size();
  std::uint64_t subcluster = in / size;
  while (subcluster < geometry_.subclusters() && (cluster.allocated >> subcluster & 1) != 0) ++subcluster;
  return subcluster * size <= in ? 0 : std::min(length, subcluster * size - in);
}

int File::write_locked(std::uint64_t offset, std::uint64_t length, Scatter& from) noexcept {
  while (length != 0) {
    std::uint64_t done = 0;
    if (const int error = write_some(offset, length, from, done)) return error;
    offset += done;
    length -= done;
  }
  return 0;
}

int File::write_some(std::uint64_t offset, std::uint64_t length, Scatter& from,
                     std::uint64_t& done) noexcept {
  Cluster cluster;
  const std::uint64_t host_in = offset & geometry_.cluster_mask();
  if (const int error = metadata_->mapping().get(offset >> geometry_.cluster_bits, cluster)) return error;
  done = writable_bytes(cluster, offset, length);
  if (done == 0) {
    if (cluster.kind == Cluster::Kind::standard && cluster.copied) {
      done = std::min(length, geometry_.cluster_size() - host_in);
      return write_into(offset, done, from, cluster);
    }
    return write_new(offset, length, from, done);
  }
  const std::uint64_t host = cluster.host + host_in;
  // On through clusters that follow each other in the file too.
  while (done < length && ((offset + done) & geometry_.cluster_mask()) == 0) {
    if (metadata_->mapping().get((offset + done) >> geometry_.cluster_bits, cluster) != 0) break;
    const std::uint64_t more = writable_bytes(cluster, offset + done, length - done);
    if (more == 0 || cluster.host != host + done) break;
    done += more;
  }
  return write_data(host, done, from);
}

int File::write_data(std::uint64_t host, std::uint64_t length, Scatter& from) noexcept {
  for (std::uint64_t done = 0; done < length;) {
    std::uint64_t taken = 0;
    const std::span<iovec> ranges = from.take(length - done, taken);
    if (const int error = data().write(host + done, ranges)) return error;
    done += taken;
  }
  if (host + length > data_end_.load(std::memory_order_relaxed))
    data_end_.store(host + length, std::memory_order_relaxed);
  return 0;
}

// Into a cluster that has its place already: subclusters of it are not there yet, or read as zeros.
int File::write_into(std::uint64_t offset, std::uint64_t length, Scatter& from, const Cluster& old) noexcept {
  const std::uint64_t cluster = offset >> geometry_.cluster_bits, in = offset & geometry_.cluster_mask();
  if (const int error = metadata_->prepare_table(cluster)) return error;
  Cluster next = old;
  const Change change{.cluster = cluster, .begin = in, .end = in + length};
  if (const int error = fill_around(change, old, next)) return error;
  if (const int error = write_data(old.host + in, length, from)) return error;
  metadata_->note_data();
  return metadata_->mapping().set(cluster, next);
}

// How many clusters from this one on, in its L2 table, have no place of their own.
int File::count_new(std::uint64_t cluster, std::uint64_t most, std::uint64_t& count) noexcept {
  const std::uint64_t left = geometry_.l2_entries() - (cluster & (geometry_.l2_entries() - 1));
  most = std::min(most, left);
  count = 0;
  while (count < most) {
    Cluster next;
    const int error = metadata_->mapping().get(cluster + count, next);
    if (error != 0) return count == 0 ? error : 0;
    if (next.kind == Cluster::Kind::standard && next.copied) break;
    ++count;
  }
  return 0;
}

int File::place_new(std::uint64_t cluster, std::uint64_t most, std::uint64_t& host,
                    std::uint64_t& count) noexcept {
  if (data_) {
    // "The offset field in the Standard Cluster Descriptor must match the guest offset".
    host = cluster << geometry_.cluster_bits;
    count = most;
    return 0;
  }
  std::uint64_t first = 0;
  const int error = metadata_->refcounts().allocate(most, first, count);
  host = first << geometry_.cluster_bits;
  return error;
}

int File::write_new(std::uint64_t offset, std::uint64_t length, Scatter& from, std::uint64_t& done) noexcept {
  const std::uint64_t first = offset >> geometry_.cluster_bits, in = offset & geometry_.cluster_mask();
  const std::uint64_t wanted = divide_up(in + length, geometry_.cluster_size());
  std::uint64_t count = 0, host = 0;
  if (const int error = metadata_->prepare_table(first)) return error;
  if (const int error = count_new(first, wanted, count)) return error;
  if (const int error = place_new(first, count, host, count)) return error;
  done = std::min(length, count * geometry_.cluster_size() - in);
  const bool fresh = data().grows() && host >= data().size();
  int error = 0;
  Cluster old, head{.kind = Cluster::Kind::standard, .copied = true, .host = host}, tail = head;
  // Of the first and the last cluster what is not written; they may be one.
  const std::uint64_t end_in = (offset + done - 1) % geometry_.cluster_size() + 1;
  error = metadata_->mapping().get(first, old);
  if (error == 0) {
    const Change change{first, in, count == 1 ? end_in : geometry_.cluster_size(), true, fresh};
    error = fill_around(change, old, head);
  }
  tail.host = host + (count - 1) * geometry_.cluster_size();
  if (error == 0 && count > 1) error = metadata_->mapping().get(first + count - 1, old);
  if (error == 0 && count > 1) error = fill_around({first + count - 1, 0, end_in, true, fresh}, old, tail);
  if (error == 0) error = write_data(host + in, done, from);
  if (error != 0) {
    if (!data_) metadata_->refcounts().add_all(host >> geometry_.cluster_bits, count, -1);
    return error;
  }
  metadata_->note_data();
  for (std::uint64_t i = 0; i < count; ++i) {
    Cluster next{.kind = Cluster::Kind::standard,
                 .copied = true,
                 .host = host + i * geometry_.cluster_size(),
                 .allocated = geometry_.all_subclusters()};
    if (i == count - 1 && count > 1) next = tail;
    if (i == 0) next = head;
    if ((error = metadata_->mapping().get(first + i, old)) != 0) return error;
    if ((error = set_cluster(first + i, old, next)) != 0) return error;
  }
  return 0;
}

int File::set_cluster(std::uint64_t cluster, const Cluster& old, const Cluster& next) noexcept {
  if (const int error = metadata_->mapping().set(cluster, next)) return error;
  const bool stays =
      old.kind == Cluster::Kind::standard && next.kind == Cluster::Kind::standard && old.host == next.host;
  return stays ? 0 : release(old);
}

// The disk refers to this no more.
int File::release(const Cluster& old) noexcept {
  if (old.kind == Cluster::Kind::none) return 0;
  // As raw data it has been zeroed, and must stay so.
  if (data_)
    return options_.discard && !has_raw_data() ? data_->discard(old.host, geometry_.cluster_size()) : 0;
  const std::uint64_t first = old.host >> geometry_.cluster_bits;
  if (old.kind == Cluster::Kind::standard) return metadata_->free_later(first, 1);
  unpacked_host_ = ~std::uint64_t{0};
  const std::uint64_t last = (old.host + old.host_size - 1) >> geometry_.cluster_bits;
  return metadata_->free_later(first, last - first + 1);
}

// Makes the subclusters that a change touches whole, and takes along those that would stay behind. `next` has
// its place, and is told what is there then.
int File::fill_around(const Change& change, const Cluster& old, Cluster& next) noexcept {
  const std::uint64_t size = geometry_.subcluster_size();
  const std::uint64_t disk = change.cluster << geometry_.cluster_bits;
  next.allocated = change.moves ? 0 : old.allocated;
  next.zero = old.zero;
  for (unsigned i = 0; i < geometry_.subclusters(); ++i) {
    const std::uint64_t begin = i * size, end = begin + size;
    const std::uint32_t bit = std::uint32_t{1} << i;
    const bool touched = change.begin < end && begin < change.end;
    const bool is_there = (old.allocated & bit) != 0;
    if (!touched && !(change.moves && is_there)) continue;
    next.allocated |= bit;
    next.zero &= ~bit;
    if (is_there && !change.moves) continue;
    const std::uint64_t before = touched ? std::max(begin, change.begin) : end;
    if (before > begin) {
      if (const int error = copy_part(disk + begin, before - begin, next.host + begin, change.fresh))
        return error;
    }
    if (touched && change.end < end) {
      if (const int error =
              copy_part(disk + change.end, end - change.end, next.host + change.end, change.fresh))
        return error;
    }
  }
  return 0;
}

// Copies what the disk has at `offset` to `host`. `fresh`: the file ends before that, so zeros need not be.
int File::copy_part(std::uint64_t offset, std::uint64_t length, std::uint64_t host, bool fresh) noexcept {
  // Of a disk that ends within a cluster the rest is nobody's; zeros, should it grow.
  const std::uint64_t in_disk = offset < size() ? std::min(length, size() - offset) : 0;
  bool zeros = false;
  if (const int error = reads_as_zeros(offset, in_disk, zeros)) return error;
  if (zeros && fresh) return 0;
  for (std::uint64_t done = 0; done < length;) {
    const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(length - done, buffer_.size()));
    const std::uint64_t of_disk = done < in_disk ? std::min<std::uint64_t>(piece, in_disk - done) : 0;
    iovec range{buffer_.data(), piece};
    Scatter to(std::span<const iovec>(&range, 1));
    if (zeros) {
      to.fill_zeros(piece);
    } else {
      if (const int error = read_locked(offset + done, of_disk, to)) return error;
      to.fill_zeros(piece - of_disk);
    }
    const std::span<const iovec> ranges(&range, 1);
    Scatter from(ranges);
    if (const int error = write_data(host + done, piece, from)) return error;
    done += piece;
  }
  return 0;
}

}  // namespace warren::vmm::block::qcow2
