#include "driver/domain/image_holder.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace warren::driver::domain {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWorker = "warren-vmm", kLogSuffix = ".log";

bool is_same(const struct stat& one, const struct stat& other) {
  if (S_ISBLK(one.st_mode)) return S_ISBLK(other.st_mode) && one.st_rdev == other.st_rdev;
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// Processes come and go meanwhile: what cannot be read is not there.
bool has_open(const fs::path& process, const struct stat& image) {
  std::error_code failed;
  for (fs::directory_iterator each(process / "fd", failed), end; !failed && each != end;
       each.increment(failed)) {
    struct stat status{};
    if (::stat(each->path().c_str(), &status) == 0 && is_same(image, status)) return true;
  }
  return false;
}

// A worker writes to the log of its domain, which has the domain's name.
std::optional<std::string> domain_of(const fs::path& process) {
  std::error_code failed;
  const std::string log = fs::read_symlink(process / "fd/2", failed).filename();
  if (failed || !log.ends_with(kLogSuffix)) return std::nullopt;
  return log.substr(0, log.size() - kLogSuffix.size());
}

}  // namespace

std::string holder_of_image(int file) {
  struct stat image{};
  if (::fstat(file, &image) != 0) return {};
  std::string found;
  std::error_code failed;
  for (fs::directory_iterator each("/proc", failed), end; !failed && each != end; each.increment(failed)) {
    const std::string name = each->path().filename();
    pid_t process = 0;
    const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), process);
    if (error != std::errc() || rest != name.data() + name.size() || process == ::getpid()) continue;
    if (!has_open(each->path(), image)) continue;
    std::string command;
    std::getline(std::ifstream(each->path() / "comm"), command);
    if (command == kWorker)
      if (const auto domain = domain_of(each->path()))
        return fmt::format("domain '{}' (process {})", *domain, process);
    if (found.empty()) found = fmt::format("process {} ({})", process, command);
  }
  return found;
}

}  // namespace warren::driver::domain
