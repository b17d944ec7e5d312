// Reading: what a place of the disk is, and its bytes.
#include <algorithm>
#include <cerrno>
#include <new>

#include "vmm-core/block/qcow2/file.h"

namespace warren::vmm::block::qcow2 {

// The longest piece of one kind from `offset` on, within its cluster.
File::Piece File::piece_of(const Cluster& cluster, std::uint64_t offset,
                           std::uint64_t length) const noexcept {
  const std::uint64_t in = offset & geometry_.cluster_mask();
  const std::uint64_t left = std::min(length, geometry_.cluster_size() - in);
  if (cluster.kind == Cluster::Kind::compressed)
    return {Piece::Kind::compressed, left, cluster.host, cluster.host_size};
  const auto kind_of = [&](std::uint64_t subcluster) {
    if ((cluster.allocated >> subcluster & 1) != 0) return Piece::Kind::data;
    return (cluster.zero >> subcluster & 1) != 0 ? Piece::Kind::zeros : Piece::Kind::backing;
  };
  const std::uint64_t size = geometry_.subcluster_size();
  std::uint64_t subcluster = in / size;
  Piece piece{.kind = kind_of(subcluster), .host = cluster.host + in};
  while (subcluster < geometry_.subclusters() && kind_of(subcluster) == piece.kind) ++subcluster;
  piece.length = std::min(left, subcluster * size - in);
  if (piece.kind != Piece::Kind::backing) return piece;
  if (covers_backing(offset)) {
    piece.length = std::min(piece.length, backing_->size() - offset);
  } else {
    piece.kind = Piece::Kind::zeros;
  }
  return piece;
}

Extent File::find(std::uint64_t offset, std::uint64_t length) const noexcept {
  Extent whole;
  while (whole.length < length) {
    const std::uint64_t at = offset + whole.length;
    Cluster cluster;
    if (!metadata_->mapping().peek(at >> geometry_.cluster_bits, cluster)) break;
    const Piece piece = piece_of(cluster, at, length - whole.length);
    Extent extent{Extent::Kind::zeros, piece.length, nullptr, 0};
    if (piece.kind == Piece::Kind::compressed) break;
    if (piece.kind == Piece::Kind::backing && options_.copy_on_read) break;
    if (piece.kind == Piece::Kind::backing) extent = backing_->find(at, piece.length);
    if (piece.kind == Piece::Kind::data) {
      extent = {Extent::Kind::data, piece.length, &data(), piece.host};
      // What is beyond the end of the file is zeros, which only a reader that looks can know.
      if (piece.host + piece.length > data_end_.load(std::memory_order_relaxed)) break;
    }
    if (extent.kind == Extent::Kind::unknown) break;
    const bool goes_on = extent.kind == whole.kind && extent.file == whole.file &&
                         (extent.kind == Extent::Kind::zeros || extent.offset == whole.offset + whole.length);
    if (whole.length != 0 && !goes_on) break;
    if (whole.length == 0) {
      whole = extent;
    } else {
      whole.length += extent.length;
    }
    if (extent.length < piece.length) break;
  }
  return whole;
}

Extent File::find_writable(std::uint64_t offset, std::uint64_t length) const noexcept {
  Extent whole;
  if (!metadata_->has_begun() || metadata_->file().is_corrupt()) return whole;
  while (whole.length < length) {
    const std::uint64_t at = offset + whole.length;
    Cluster cluster;
    if (!metadata_->mapping().peek(at >> geometry_.cluster_bits, cluster)) break;
    const std::uint64_t bytes = writable_bytes(cluster, at, length - whole.length);
    const std::uint64_t host = cluster.host + (at & geometry_.cluster_mask());
    if (bytes == 0 || host + bytes > data_end_.load(std::memory_order_relaxed)) break;
    if (whole.length != 0 && host != whole.offset + whole.length) break;
    if (whole.length == 0) whole = {Extent::Kind::data, 0, &data(), host};
    whole.length += bytes;
  }
  return whole;
}

// The owner's find(): reads what is not cached.
int File::locate(std::uint64_t offset, std::uint64_t length, Piece& piece) noexcept {
  piece.length = 0;
  while (piece.length < length) {
    const std::uint64_t at = offset + piece.length;
    Cluster cluster;
    const int error = metadata_->mapping().get(at >> geometry_.cluster_bits, cluster);
    if (error != 0) return piece.length == 0 ? error : 0;
    const Piece next = piece_of(cluster, at, length - piece.length);
    if (piece.length == 0) {
      piece = next;
    } else {
      const bool goes_on = next.kind == piece.kind && next.kind != Piece::Kind::compressed &&
                           (next.kind != Piece::Kind::data || next.host == piece.host + piece.length);
      if (!goes_on) return 0;
      piece.length += next.length;
    }
  }
  return 0;
}

int File::read_compressed(const Piece& piece, std::uint64_t offset, Scatter& to) noexcept {
  if (unpacked_host_ != piece.host) {
    unpacked_host_ = ~std::uint64_t{0};
    try {
      unpacked_.resize(static_cast<std::size_t>(geometry_.cluster_size()));
      packed_.resize(static_cast<std::size_t>(piece.host_size));
    } catch (const std::bad_alloc&) {
      return ENOMEM;
    }
    if (const int error = file_->read_bytes(piece.host, packed_)) return error;
    if (const int error = decompressor_->unpack(packed_, unpacked_)) return error;
    unpacked_host_ = piece.host;
  }
  const auto in = static_cast<std::size_t>(offset & geometry_.cluster_mask());
  to.copy_from(std::span<const std::byte>(unpacked_).subspan(in, static_cast<std::size_t>(piece.length)));
  return 0;
}

int File::read_piece(const Piece& piece, std::uint64_t offset, Scatter& to) noexcept {
  switch (piece.kind) {
    case Piece::Kind::zeros:
      to.fill_zeros(piece.length);
      return 0;
    case Piece::Kind::backing:
      return backing_->read(offset, piece.length, to);
    case Piece::Kind::compressed:
      return read_compressed(piece, offset, to);
    case Piece::Kind::data:
      break;
  }
  for (std::uint64_t done = 0; done < piece.length;) {
    std::uint64_t taken = 0;
    const std::span<iovec> ranges = to.take(piece.length - done, taken);
    if (const int error = data().read(piece.host + done, ranges)) return error;
    done += taken;
  }
  return 0;
}

int File::read_locked(std::uint64_t offset, std::uint64_t length, Scatter& to) noexcept {
  while (length != 0) {
    Piece piece;
    if (const int error = locate(offset, length, piece)) return error;
    if (const int error = read_piece(piece, offset, to)) return error;
    offset += piece.length;
    length -= piece.length;
  }
  return 0;
}

int File::reads_as_zeros(std::uint64_t offset, std::uint64_t length, bool& zeros) noexcept {
  zeros = true;
  while (zeros && length != 0) {
    Piece piece;
    if (const int error = locate(offset, length, piece)) return error;
    zeros = piece.kind == Piece::Kind::zeros;
    offset += piece.length;
    length -= piece.length;
  }
  return 0;
}

}  // namespace warren::vmm::block::qcow2
