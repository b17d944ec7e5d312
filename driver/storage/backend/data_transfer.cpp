#include "driver/storage/backend/data_transfer.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/storage/backend/backend.h"
#include "driver/storage/backend/copying.h"
#include "driver/storage/backend/volume_facts.h"
#include "driver/storage/transfer.h"

namespace warren::driver::storage::backend {

namespace {

constexpr std::size_t kStep = 256u << 10;

void receive_fully(int socket, void* bytes, std::size_t length) {
  auto* at = static_cast<char*>(bytes);
  while (length > 0) {
    const ssize_t got = ::recv(socket, at, length, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw storage_error(VIR_ERR_OPERATION_ABORTED, "the upload was given up");
    at += got;
    length -= static_cast<std::size_t>(got);
  }
}

void send_fully(int socket, const void* bytes, std::size_t length) {
  const auto* at = static_cast<const char*>(bytes);
  while (length > 0) {
    const ssize_t put = ::send(socket, at, length, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) throw storage_error(VIR_ERR_OPERATION_ABORTED, "the download was given up");
    at += put;
    length -= static_cast<std::size_t>(put);
  }
}

void send_chunk(int socket, Chunk chunk) {
  const auto header = encode_chunk(chunk);
  send_fully(socket, header.data(), header.size());
}

bool is_regular(int file) {
  struct stat status{};
  return ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

// A hole where the data of the volume stood.
void write_hole(int file, bool regular, std::uint64_t at, std::uint64_t length) {
  if (regular) {
    const std::uint64_t size = data_bytes(file);
    const std::uint64_t within = at < size ? std::min(length, size - at) : 0;
    if (within > 0 && ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(at),
                                  static_cast<off_t>(within)) != 0) {
      std::vector<char> zeroes(kStep);
      for (std::uint64_t done = 0; done < within; done += kStep)
        write_fully(file, zeroes.data(),
                    static_cast<std::size_t>(std::min<std::uint64_t>(kStep, within - done)), at + done);
    }
    if (at + length > size && ::ftruncate(file, static_cast<off_t>(at + length)) != 0)
      throw host_error(errno, "cannot extend the volume");
    return;
  }
  std::uint64_t range[2] = {at, length};
  if (::ioctl(file, BLKZEROOUT, range) != 0) throw host_error(errno, "cannot zero a range of the volume");
}

}  // namespace

void receive_data(const TransferOrder& order) {
  const bool regular = is_regular(order.volume);
  const std::uint64_t most = order.length > 0 ? order.length : static_cast<std::uint64_t>(INT64_MAX);
  std::vector<char> buffer(kMostChunkBytes);
  std::uint64_t done = 0;
  while (true) {
    std::array<std::byte, kChunkHeaderBytes> header;
    receive_fully(order.socket, header.data(), header.size());
    const std::optional<Chunk> chunk = decode_chunk(header);
    if (!chunk) throw storage_error(VIR_ERR_INTERNAL_ERROR, "the upload's data is malformed");
    if (chunk->kind == ChunkKind::end) break;
    std::uint64_t end = 0;
    if (__builtin_add_overflow(order.offset + done, chunk->length, &end) || chunk->length > most - done ||
        end > static_cast<std::uint64_t>(INT64_MAX))
      throw host_error(ENOSPC, "cannot write to the volume: there is more data than fits");
    if (chunk->kind == ChunkKind::hole) {
      write_hole(order.volume, regular, order.offset + done, chunk->length);
    } else {
      receive_fully(order.socket, buffer.data(), chunk->length);
      write_fully(order.volume, buffer.data(), chunk->length, order.offset + done);
    }
    done += chunk->length;
  }
  if (::fdatasync(order.volume) != 0) throw host_error(errno, "cannot sync the uploaded data");
}

void send_data(const TransferOrder& order) {
  const std::uint64_t bytes = data_bytes(order.volume);
  std::uint64_t end = bytes;
  if (order.length > 0 && order.offset < bytes)
    end = order.offset + std::min(order.length, bytes - order.offset);
  std::vector<char> buffer(kStep);
  std::uint64_t at = order.offset;
  while (at < end) {
    std::uint64_t stop = end;
    if (order.sparse) {
      const off_t data = ::lseek(order.volume, static_cast<off_t>(at), SEEK_DATA);
      const std::uint64_t next = data >= 0 ? static_cast<std::uint64_t>(data) : errno == ENXIO ? end : at;
      if (next > at) {
        const std::uint64_t hole = std::min(next, end) - at;
        send_chunk(order.socket, {ChunkKind::hole, hole});
        at += hole;
        continue;
      }
      const off_t hole = ::lseek(order.volume, static_cast<off_t>(at), SEEK_HOLE);
      if (hole > 0 && static_cast<std::uint64_t>(hole) > at)
        stop = std::min(end, static_cast<std::uint64_t>(hole));
    }
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(kStep, stop - at));
    const ssize_t got = ::pread(order.volume, buffer.data(), wanted, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw host_error(errno, "cannot read the volume");
    if (got == 0) break;  // it has become shorter
    send_chunk(order.socket, {ChunkKind::data, static_cast<std::uint64_t>(got)});
    send_fully(order.socket, buffer.data(), static_cast<std::size_t>(got));
    at += static_cast<std::uint64_t>(got);
  }
  send_chunk(order.socket, {ChunkKind::end, 0});
}

}  // namespace warren::driver::storage::backend
