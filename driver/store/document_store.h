// Durable documents on disk: one file NAME.xml each in one directory, and which of them start by themselves.
//
// A rename is a rename of the file and then a replacement of its text: whenever the two disagree after a
// crash, the name in the text is the document's.
//
// After write(), remove(), rename(), set_autostart() or commit() returned, the change survives a power cut;
// if it threw or the machine stopped within it, load_all() finds the state before or the state after, never a
// mixture.
//
// commit() makes many changes last with one sync, of a log (change_log.h), from which load_all() does again
// after a power cut what had not reached the files. Files that somebody changed by hand since the machine
// started, while no daemon ran, are as he left them. Files are 0600, directories 0700. Calls block on the
// disk: never on an event loop's thread. One thread at a time, one process per directory. Errors are
// driver::Error (VIR_ERR_SYSTEM_ERROR with the path and cause in its text; VIR_ERR_INVALID_ARG for a name
// that cannot be a file's).
#pragma once

#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "driver/store/change_log.h"
#include "driver/store/file_operations.h"

namespace warren::driver::store {

struct StoredDocument {
  std::string name;
  std::string text;
  bool autostart = false;
};

// A file that could not be loaded. It is renamed to `set_aside` in the same directory, and never deleted;
// where even that failed, `set_aside` is empty and the file is where it was.
struct BrokenDocument {
  std::string file;
  std::string reason;
  std::string set_aside;
};

struct LoadReport {
  std::vector<StoredDocument> documents;  // ordered by name
  std::vector<BrokenDocument> broken;
};

class DocumentStore {
 public:
  static constexpr std::size_t kMaximumDocumentBytes = 8u << 20;

  // Creates `directory`, and its parents, if missing.
  explicit DocumentStore(std::filesystem::path directory,
                         FileOperations& operations = system_file_operations());
  ~DocumentStore();
  DocumentStore(const DocumentStore&) = delete;
  DocumentStore& operator=(const DocumentStore&) = delete;

  // Creates or replaces.
  void write(std::string_view name, std::string_view text);
  // Removes the document and its autostart link; it is no error if there is none.
  void remove(std::string_view name);
  // As write() and remove(), all at once. What became of one that was not made is in `failed`, which is null
  // for the others. Each is of another document.
  struct Commit {
    const Change* change = nullptr;
    std::exception_ptr* failed = nullptr;
  };
  void commit(std::span<const Commit> commits);

  // `text` is the document under its new name, which must be free.
  void rename(std::string_view from, std::string_view to, std::string_view text);
  void set_autostart(std::string_view name, bool autostart);

  // Tells the name a document has in its own text, or throws std::exception if it is broken.
  using NameOf = std::function<std::string(std::string_view text)>;

  // Reads everything, finishes what a crash interrupted (a rename, temporary files, dangling links) and sets
  // broken files aside. Throws only if the directory itself cannot be read.
  LoadReport load_all(const NameOf& name_of);

  const std::filesystem::path& directory() const noexcept { return directory_; }

  // Whether `name` can be a document's: not empty, no '/', no NUL, not so long that NAME.xml is no file name.
  static bool valid_name(std::string_view name) noexcept;

 private:
  void open_directory();
  int autostart_directory(bool create);
  static std::string file_of(std::string_view name);
  enum class Syncs : bool { no, yes };
  std::string write_temporary(const std::string& file, std::string_view text, Syncs syncs = Syncs::yes);
  void put_in_place(const std::string& temporary, const std::string& file);
  void write_now(std::string_view name, std::string_view text);
  void remove_now(std::string_view name);
  // document_commit.cpp
  bool log_takes(std::span<const Change* const> changes);
  void commit_logged(std::span<const Commit> commits);
  void make_change(const Change& change, const std::string& temporary);
  int open_log();
  void settle();
  void recover(LoadReport& report);
  void write_all(int fd, std::string_view text, const std::string& file);
  void discard(const std::string& file);
  void sync(int directory, const std::string& what);
  void link_autostart(const std::string& file);
  void unlink_autostart(const std::string& file, Syncs syncs = Syncs::yes);
  bool has_autostart(const std::string& file) const;
  std::string read_file(const std::string& file);
  void load_one(const std::string& file, const NameOf& name_of, LoadReport& report);
  void set_aside(const std::string& file, const std::string& reason, LoadReport& report);
  void remove_dangling_links(const LoadReport& report);
  [[noreturn]] void fail(std::string_view doing, std::string_view file, int negative_errno) const;

  std::filesystem::path directory_;
  FileOperations& operations_;
  int directory_fd_ = -1;
  int autostart_fd_ = -1;
  std::optional<ChangeLog> log_;  // from load_all() or the first commit() on
  std::vector<Change> lost_;      // of the log: what a power cut may have kept from the files
};

}  // namespace warren::driver::store
