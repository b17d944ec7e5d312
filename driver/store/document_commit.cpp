// Many changes with one sync, and what a power cut has kept from the files.
#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "driver/contract/error.h"
#include "driver/store/document_store.h"

namespace warren::driver::store {

int DocumentStore::open_log() {
  if (log_) return 0;
  log_.emplace(operations_, directory_fd_);
  return log_->read(lost_);
}

// Whether they can go by the log. A disk that has no room for one has perhaps room for the changes
// themselves.
bool DocumentStore::log_takes(std::span<const Change* const> changes) {
  if (open_log() < 0) return false;
  if (log_->in_use() && log_->has_room(changes)) return true;
  try {
    settle();
  } catch (const Error&) {
    return false;
  }
  return (log_->in_use() || log_->reset() == 0) && log_->has_room(changes);
}

void DocumentStore::commit(std::span<const Commit> commits) {
  std::vector<const Change*> changes;
  for (const Commit& commit : commits) changes.push_back(commit.change);
  if (log_takes(changes)) return commit_logged(commits);
  for (const Commit& commit : commits) {
    try {
      settle();
      if (commit.change->kind == Change::Kind::write) {
        write_now(commit.change->name, commit.change->text);
      } else {
        remove_now(commit.change->name);
      }
    } catch (const Error&) {
      *commit.failed = std::current_exception();
    }
  }
}

void DocumentStore::make_change(const Change& change, const std::string& temporary) {
  const std::string file = file_of(change.name);
  if (change.kind == Change::Kind::write) return put_in_place(temporary, file);
  // As in remove(): the document first.
  if (const int result = operations_.unlink(directory_fd_, file); result < 0 && result != -ENOENT)
    fail("remove", file, result);
  unlink_autostart(file, Syncs::no);
}

// What needs room comes first, then the log, and last what hardly ever fails.
void DocumentStore::commit_logged(std::span<const Commit> commits) {
  std::vector<std::string> temporaries(commits.size());
  std::vector<const Change*> changes;
  for (std::size_t i = 0; i < commits.size(); ++i) {
    const Change& change = *commits[i].change;
    try {
      const std::string file = file_of(change.name);
      if (change.kind == Change::Kind::write) temporaries[i] = write_temporary(file, change.text, Syncs::no);
      changes.push_back(&change);
    } catch (const Error&) {
      *commits[i].failed = std::current_exception();
    }
  }
  const int logged = changes.empty() ? 0 : log_->append(changes);
  bool is_whole = true;
  for (std::size_t i = 0; i < commits.size(); ++i) {
    if (*commits[i].failed) continue;
    try {
      if (logged < 0) {
        if (!temporaries[i].empty()) discard(temporaries[i]);
        fail("log a change in", ChangeLog::kFile, logged);
      }
      make_change(*commits[i].change, temporaries[i]);
    } catch (const Error&) {
      *commits[i].failed = std::current_exception();
      is_whole = false;
    }
  }
  // The log has what was not made, and a power cut would make it.
  if (!is_whole && log_->in_use()) {
    if (operations_.sync_all(directory_fd_) == 0) log_->reset();
  }
}

// What is in the log is in the files for good, too, and in the log no more; before that, what a power cut may
// have kept from the files. All of it or an error: nothing may go by what is not there yet.
void DocumentStore::settle() {
  if (!log_ || log_->is_empty()) return;
  for (const Change& change : lost_) {
    std::string temporary;
    if (change.kind == Change::Kind::write)
      temporary = write_temporary(file_of(change.name), change.text, Syncs::no);
    make_change(change, temporary);
  }
  if (const int result = operations_.sync_all(directory_fd_); result < 0) fail("sync", "", result);
  if (const int result = log_->reset(); result < 0) fail("write", ChangeLog::kFile, result);
  lost_.clear();
}

// Where it fails the log is kept, and every change and every start tries again.
void DocumentStore::recover(LoadReport& report) {
  try {
    if (const int result = open_log(); result < 0) fail("read", ChangeLog::kFile, result);
    settle();
  } catch (const Error& error) {
    report.broken.push_back({ChangeLog::kFile, error.message(), {}});
  }
}

}  // namespace warren::driver::store
