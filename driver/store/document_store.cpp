#include "driver/store/document_store.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <fmt/format.h>

#include "driver/contract/error.h"

namespace warren::driver::store {

namespace {

constexpr std::string_view kSuffix = ".xml";
constexpr std::string_view kTemporarySuffix = ".new";
constexpr char kAutostart[] = "autostart";
constexpr std::size_t kMaximumFileName = 255;  // NAME_MAX
constexpr int kRegular = 1;
constexpr int kSymbolicLink = 2;

std::string temporary_of(const std::string& file) {
  return fmt::format(".{}{}", file, kTemporarySuffix);
}

bool is_temporary(std::string_view file) {
  return file.starts_with('.') && file.ends_with(fmt::format("{}{}", kSuffix, kTemporarySuffix));
}

}  // namespace

bool DocumentStore::valid_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kMaximumFileName - kSuffix.size() - kTemporarySuffix.size() - 1 &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

std::string DocumentStore::file_of(std::string_view name) {
  if (!valid_name(name))
    throw invalid_argument(fmt::format("'{}' cannot be the name of a file", name.substr(0, 64)));
  return fmt::format("{}{}", name, kSuffix);
}

DocumentStore::DocumentStore(std::filesystem::path directory, FileOperations& operations)
    : directory_(std::move(directory)), operations_(operations) {
  open_directory();
}

DocumentStore::~DocumentStore() {
  try {
    settle();
  } catch (...) {
    // It is settled by the next load_all().
  }
  log_.reset();
  if (autostart_fd_ >= 0) operations_.close(autostart_fd_);
  if (directory_fd_ >= 0) operations_.close(directory_fd_);
}

// Makes what is missing of the path, each directory synced into its parent.
void DocumentStore::open_directory() {
  directory_ = std::filesystem::absolute(directory_).lexically_normal();
  if (!directory_.has_filename()) directory_ = directory_.parent_path();
  int at = operations_.open_directory(AT_FDCWD, "/");
  for (const auto& part : directory_.relative_path()) {
    if (at < 0) break;
    int next = operations_.open_directory(at, part);
    // A parent may be a symbolic link of the administrator's (/var/run); the directory itself may not.
    if (next == -ELOOP || next == -ENOTDIR) next = operations_.open_directory(at, part.string() + "/.");
    if (next == -ENOENT) {
      int made = operations_.make_directory(at, part);
      if (made == -EEXIST) made = 0;
      if (made == 0) made = operations_.sync(at);
      next = made < 0 ? made : operations_.open_directory(at, part);
    }
    operations_.close(at);
    at = next;
  }
  if (at < 0) fail("open", "", at);
  directory_fd_ = at;
}

void DocumentStore::fail(std::string_view doing, std::string_view file, int negative_errno) const {
  throw system_error(-negative_errno,
                     fmt::format("cannot {} '{}'", doing,
                                 file.empty() ? directory_.string() : (directory_ / file).string()));
}

int DocumentStore::autostart_directory(bool create) {
  if (autostart_fd_ >= 0) return autostart_fd_;
  autostart_fd_ = operations_.open_directory(directory_fd_, kAutostart);
  if (autostart_fd_ == -ENOENT && create) {
    if (const int made = operations_.make_directory(directory_fd_, kAutostart); made < 0 && made != -EEXIST)
      fail("make", kAutostart, made);
    sync(directory_fd_, "");
    autostart_fd_ = operations_.open_directory(directory_fd_, kAutostart);
  }
  if (autostart_fd_ < 0 && autostart_fd_ != -ENOENT) fail("open", kAutostart, autostart_fd_);
  if (autostart_fd_ < 0 && create) fail("open", kAutostart, autostart_fd_);
  return autostart_fd_;
}

void DocumentStore::sync(int directory, const std::string& what) {
  if (const int result = operations_.sync(directory); result < 0) fail("sync", what, result);
}

void DocumentStore::discard(const std::string& file) {
  // What is left behind after all is removed by the next load_all().
  operations_.unlink(directory_fd_, file);
}

void DocumentStore::write_all(int fd, std::string_view text, const std::string& file) {
  while (!text.empty()) {
    const std::ptrdiff_t written = operations_.write(fd, text.data(), text.size());
    if (written == -EINTR || written == -EAGAIN) continue;
    if (written <= 0) fail("write", file, written < 0 ? static_cast<int>(written) : -ENOSPC);
    text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(written)));
  }
}

// The text in a file beside its place, on the disk unless that is seen to otherwise.
std::string DocumentStore::write_temporary(const std::string& file, std::string_view text, Syncs syncs) {
  const std::string temporary = temporary_of(file);
  discard(temporary);
  const int fd = operations_.create(directory_fd_, temporary);
  if (fd < 0) fail("create", temporary, fd);
  try {
    write_all(fd, text, temporary);
    const int result = syncs == Syncs::yes ? operations_.sync(fd) : 0;
    if (result < 0) fail("sync", temporary, result);
  } catch (...) {
    operations_.close(fd);
    discard(temporary);
    throw;
  }
  if (const int result = operations_.close(fd); result < 0 && result != -EINTR) {
    discard(temporary);
    fail("close", temporary, result);
  }
  return temporary;
}

void DocumentStore::put_in_place(const std::string& temporary, const std::string& file) {
  if (const int result = operations_.rename(directory_fd_, temporary, file); result < 0) {
    discard(temporary);
    fail("replace", file, result);
  }
}

void DocumentStore::write(std::string_view name, std::string_view text) {
  settle();
  write_now(name, text);
}

void DocumentStore::remove(std::string_view name) {
  settle();
  remove_now(name);
}

void DocumentStore::write_now(std::string_view name, std::string_view text) {
  const std::string file = file_of(name);
  if (text.size() > kMaximumDocumentBytes)
    throw invalid_argument(fmt::format("a document of {} bytes is too large to be kept", text.size()));
  put_in_place(write_temporary(file, text), file);
  sync(directory_fd_, file);
}

void DocumentStore::remove_now(std::string_view name) {
  const std::string file = file_of(name);
  // The document first: a link to nothing is nothing, a document without its link is another document.
  if (const int result = operations_.unlink(directory_fd_, file); result < 0 && result != -ENOENT)
    fail("remove", file, result);
  sync(directory_fd_, file);
  unlink_autostart(file);
}

void DocumentStore::rename(std::string_view from, std::string_view to, std::string_view text) {
  const std::string old_file = file_of(from);
  const std::string new_file = file_of(to);
  settle();
  if (operations_.kind(directory_fd_, new_file) != -ENOENT) fail("rename to", new_file, -EEXIST);
  const bool autostart = has_autostart(old_file);
  if (autostart) link_autostart(new_file);
  const std::string temporary = write_temporary(new_file, text);
  if (const int result = operations_.rename_new(directory_fd_, old_file, new_file); result < 0) {
    discard(temporary);
    fail("rename", old_file, result);
  }
  if (const int result = operations_.rename(directory_fd_, temporary, new_file); result < 0) {
    // Where the way back fails too, the name in the text leads load_all() back.
    operations_.rename_new(directory_fd_, new_file, old_file);
    discard(temporary);
    fail("replace", new_file, result);
  }
  sync(directory_fd_, new_file);
  if (autostart) unlink_autostart(old_file);
}

void DocumentStore::set_autostart(std::string_view name, bool autostart) {
  const std::string file = file_of(name);
  settle();
  if (autostart) {
    link_autostart(file);
  } else {
    unlink_autostart(file);
  }
}

void DocumentStore::link_autostart(const std::string& file) {
  const int directory = autostart_directory(true);
  const int result = operations_.symlink("../" + file, directory, file);
  if (result < 0 && result != -EEXIST) fail("link", fmt::format("{}/{}", kAutostart, file), result);
  sync(directory, kAutostart);
}

void DocumentStore::unlink_autostart(const std::string& file, Syncs syncs) {
  const int directory = autostart_directory(false);
  if (directory < 0) return;
  const int result = operations_.unlink(directory, file);
  if (result == -ENOENT) return;
  if (result < 0) fail("remove", fmt::format("{}/{}", kAutostart, file), result);
  if (syncs == Syncs::yes) sync(directory, kAutostart);
}

bool DocumentStore::has_autostart(const std::string& file) const {
  return autostart_fd_ >= 0 && operations_.kind(autostart_fd_, file) == kSymbolicLink;
}

std::string DocumentStore::read_file(const std::string& file) {
  const int fd = operations_.open_read(directory_fd_, file);
  if (fd < 0) fail("open", file, fd);
  std::string text;
  std::array<char, 16384> buffer;
  for (;;) {
    const std::ptrdiff_t got = operations_.read(fd, buffer.data(), buffer.size());
    if (got == -EINTR) continue;
    if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
    if (got > 0 && text.size() <= kMaximumDocumentBytes) continue;
    operations_.close(fd);
    if (got < 0) fail("read", file, static_cast<int>(got));
    return text;
  }
}

void DocumentStore::set_aside(const std::string& file, const std::string& reason, LoadReport& report) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    const std::string target =
        attempt == 0 ? fmt::format("{}.broken", file) : fmt::format("{}.broken.{}", file, attempt);
    const int result = operations_.rename_new(directory_fd_, file, target);
    if (result == -EEXIST) continue;
    report.broken.push_back({file, reason, result < 0 ? std::string() : target});
    return;
  }
  report.broken.push_back({file, reason, {}});
}

void DocumentStore::load_one(const std::string& file, const NameOf& name_of, LoadReport& report) {
  if (operations_.kind(directory_fd_, file) != kRegular)
    return set_aside(file, "it is not a regular file", report);
  std::string text;
  try {
    text = read_file(file);
  } catch (const Error& error) {
    // The disk's fault, not the text's, and perhaps not for ever: the file stays where it is.
    report.broken.push_back({file, error.message(), {}});
    return;
  }
  if (text.size() > kMaximumDocumentBytes) return set_aside(file, "it is too large", report);
  std::string name;
  try {
    name = name_of(text);
  } catch (const std::exception& error) {
    return set_aside(file, error.what(), report);
  }
  if (!valid_name(name)) return set_aside(file, "the name in its text cannot be a file's", report);
  bool autostart = has_autostart(file);
  if (const std::string own = file_of(name); own != file) {
    autostart = autostart || has_autostart(own);
    // A rename was interrupted, or somebody copied a file.
    const int result = operations_.rename_new(directory_fd_, file, own);
    if (result == -EEXIST)
      return set_aside(file, fmt::format("its text has the name '{}', of which there is another file", name),
                       report);
    if (result < 0) {
      report.broken.push_back(
          {file, fmt::format("its text has the name '{}', and it cannot be renamed", name), {}});
      return;
    }
    if (autostart) link_autostart(own);
    sync(directory_fd_, own);
  }
  report.documents.push_back({std::move(name), std::move(text), autostart});
}

void DocumentStore::remove_dangling_links(const LoadReport& report) {
  if (autostart_fd_ < 0) return;
  std::vector<std::string> links;
  if (operations_.list(autostart_fd_, links) < 0) return;
  for (const std::string& link : links) {
    const auto names = [&](const auto& entry) { return link == fmt::format("{}{}", entry.name, kSuffix); };
    const auto is_broken = [&](const BrokenDocument& entry) { return link == entry.file; };
    if (operations_.kind(autostart_fd_, link) != kSymbolicLink ||
        std::any_of(report.documents.begin(), report.documents.end(), names) ||
        std::any_of(report.broken.begin(), report.broken.end(), is_broken))
      continue;
    operations_.unlink(autostart_fd_, link);
  }
}

LoadReport DocumentStore::load_all(const NameOf& name_of) {
  LoadReport report;
  autostart_directory(false);
  recover(report);
  std::vector<std::string> files;
  if (const int result = operations_.list(directory_fd_, files); result < 0) fail("list", "", result);
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) {
    if (is_temporary(file)) {
      discard(file);
    } else if (file.ends_with(kSuffix) && file.size() > kSuffix.size()) {
      load_one(file, name_of, report);
    }
  }
  remove_dangling_links(report);
  std::sort(report.documents.begin(), report.documents.end(),
            [](auto& a, auto& b) { return a.name < b.name; });
  return report;
}

}  // namespace warren::driver::store
