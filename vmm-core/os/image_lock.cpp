#include "vmm-core/os/image_lock.h"

#include <cerrno>

#include <fcntl.h>

namespace warren::vmm {

namespace {

// A byte for what one does, which keeps those away that want the image alone, and one for what one forbids
// others.
// Ours alone: of those that share with others like us, so that who does not share with anybody
// (stand_aside()) is in their way whatever QEMU's bytes say.
constexpr off_t kShares = 99;
constexpr off_t kReads = 100, kWrites = 101, kForbidsWrites = 201;
// A byte for each of 64 permissions has its place there, after kReads and from 200 on.
constexpr off_t kEndOfForbids = 264;
constexpr off_t kToTheEnd = 0;  // as l_len

int set_lock(int file, short type, off_t start, off_t length) noexcept {
  struct flock range{};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = start;
  range.l_len = length;
  int result = 0;
  do {
    result = ::fcntl(file, F_OFD_SETLK, &range);
  } while (result != 0 && errno == EINTR);
  if (result == 0) return 0;
  if (errno == EACCES) return EAGAIN;
  if (errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) return 0;
  return errno;
}

// Whether nobody else has locked this byte, as far as the file system tells.
bool is_free(int file, off_t byte) noexcept {
  struct flock range{};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = byte;
  range.l_len = 1;
  return ::fcntl(file, F_OFD_GETLK, &range) != 0 || range.l_type == F_UNLCK;
}

int set_readers_bytes(int file, short type) noexcept {
  if (const int failed = set_lock(file, type, kReads, 1)) return failed;
  return set_lock(file, type, kForbidsWrites, 1);
}

}  // namespace

// First all is locked, then it is looked whether somebody forbids it or does what is forbidden: of two that
// come at once one sees the other.
int lock_image(int file, ImageUse use) noexcept {
  if (use.writes && !use.shares) return set_lock(file, F_WRLCK, 0, kToTheEnd);
  if (use.shares) {
    if (const int failed = set_lock(file, F_RDLCK, kShares, 1)) return failed;
  }
  if (const int failed = set_lock(file, F_RDLCK, kReads, 1)) return failed;
  if (use.writes) {
    if (const int failed = set_lock(file, F_RDLCK, kWrites, 1)) return failed;
  }
  if (!use.shares) {
    if (const int failed = set_lock(file, F_RDLCK, kForbidsWrites, 1)) return failed;
  }
  const bool is_allowed = !use.writes || is_free(file, kForbidsWrites);
  return is_allowed && (use.shares || is_free(file, kWrites)) ? 0 : EAGAIN;
}

void unlock_image(int file) noexcept {
  set_lock(file, F_UNLCK, 0, kToTheEnd);
}

int stand_aside(int file) noexcept {
  return set_lock(file, F_UNLCK, kReads, kEndOfForbids - kReads);
}

int reserve_for_writing(int writer) noexcept {
  if (const int failed = set_lock(writer, F_WRLCK, 0, kReads)) return failed;
  if (const int failed = set_lock(writer, F_WRLCK, kReads + 1, kForbidsWrites - kReads - 1)) return failed;
  return set_lock(writer, F_WRLCK, kForbidsWrites + 1, kToTheEnd);
}

int take_over(int reader, int writer) noexcept {
  set_readers_bytes(reader, F_UNLCK);
  const int failed = set_readers_bytes(writer, F_WRLCK);
  if (failed == 0) return 0;
  // A writer cannot have come in between: it would need the bytes that are reserved.
  set_readers_bytes(writer, F_UNLCK);
  set_readers_bytes(reader, F_RDLCK);
  return failed;
}

int give_back(int writer, int reader) noexcept {
  if (const int failed = set_readers_bytes(writer, F_RDLCK)) return failed;
  if (const int failed = set_readers_bytes(reader, F_RDLCK)) return failed;
  unlock_image(writer);
  return 0;
}

}  // namespace warren::vmm
