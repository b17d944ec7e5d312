#include "driver/storage/backend/wiping.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/storage/backend/backend.h"
#include "driver/storage/backend/copying.h"
#include "driver/storage/backend/volume_facts.h"
#include "driver/tool/tool.h"

namespace warren::driver::storage::backend {

namespace {

constexpr std::size_t kStep = std::size_t{1} << 20;

// scrub(1)'s names of virStorageVolWipeAlgorithm.
constexpr const char* kPatterns[] = {nullptr,    "nnsa",      "dod",        "bsi",   "gutmann",
                                     "schneier", "pfitzner7", "pfitzner33", nullptr, nullptr};

void overwrite(int file, bool random, Reporter& reporter) {
  const std::uint64_t bytes = data_bytes(file);
  std::vector<char> buffer(kStep);
  for (std::uint64_t at = 0; at < bytes; at += kStep) {
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(kStep, bytes - at));
    for (std::size_t filled = 0; random && filled < length;) {
      const ssize_t got = ::getrandom(buffer.data() + filled, length - filled, 0);
      if (got > 0) filled += static_cast<std::size_t>(got);
    }
    write_fully(file, buffer.data(), length, at);
    reporter.progress(at);
  }
}

// A file with holes need not become a full one to be empty: its data goes away with its blocks.
bool empty_sparse_file(int file) {
  struct stat status{};
  if (::fstat(file, &status) != 0) throw host_error(errno, "cannot stat a volume");
  if (!S_ISREG(status.st_mode) || status.st_blocks >= status.st_size / 512) return false;
  if (::ftruncate(file, 0) != 0 || ::ftruncate(file, status.st_size) != 0)
    throw host_error(errno, "cannot truncate the volume");
  return true;
}

void discard(int file) {
  struct stat status{};
  if (::fstat(file, &status) != 0) throw host_error(errno, "cannot stat a volume");
  std::uint64_t range[2] = {0, data_bytes(file)};
  const int failed = S_ISREG(status.st_mode)
                         ? ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, status.st_size)
                         : ::ioctl(file, BLKDISCARD, range);
  if (failed != 0 && range[1] > 0) {
    if (errno == EOPNOTSUPP)
      throw storage_error(VIR_ERR_INVALID_ARG,
                          "'trim' algorithm not supported: what the volume is on cannot discard");
    throw host_error(errno, "cannot discard the volume's data");
  }
}

}  // namespace

void wipe_data(int file, const std::string& path, std::uint32_t algorithm, Reporter& reporter) {
  if (algorithm >= std::size(kPatterns)) {
    throw storage_error(VIR_ERR_INVALID_ARG, fmt::format("wiping algorithm {} not supported", algorithm));
  }
  if (algorithm == VIR_STORAGE_VOL_WIPE_ALG_TRIM) {
    discard(file);
  } else if (algorithm == VIR_STORAGE_VOL_WIPE_ALG_ZERO) {
    if (!empty_sparse_file(file)) overwrite(file, false, reporter);
  } else if (algorithm == VIR_STORAGE_VOL_WIPE_ALG_RANDOM) {
    overwrite(file, true, reporter);
  } else {
    require_tool({.name = "scrub",
                  .arguments = {"-f", "-p", kPatterns[algorithm], path},
                  .deadline = std::chrono::seconds(60),
                  .tick = [&] {
                    reporter.progress(0);
                    return true;
                  }});
  }
  if (::fsync(file) != 0) throw host_error(errno, "cannot sync the wiped volume");
}

}  // namespace warren::driver::storage::backend
