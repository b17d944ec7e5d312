#include "driver/store/commit_queue.h"

#include <algorithm>
#include <utility>

namespace warren::driver::store {

class CommitQueue::Waiting {
 public:
  Change change;
  std::function<std::string()> text;  // empty for what is no write
  bool done = false;
  std::exception_ptr failed;
};

std::shared_ptr<CommitQueue::Waiting> CommitQueue::put(Change change, std::function<std::string()> text) {
  auto waiting = std::make_shared<Waiting>();
  waiting->change = std::move(change);
  waiting->text = std::move(text);
  const std::lock_guard lock(mutex_);
  waiting_.push_back(waiting);
  return waiting;
}

std::shared_ptr<CommitQueue::Waiting> CommitQueue::write(std::string name,
                                                         std::function<std::string()> text) {
  return put({Change::Kind::write, std::move(name), {}}, std::move(text));
}

std::shared_ptr<CommitQueue::Waiting> CommitQueue::remove(std::string name) {
  return put({Change::Kind::remove, std::move(name), {}}, nullptr);
}

std::vector<std::shared_ptr<CommitQueue::Waiting>> CommitQueue::take_all() {
  const std::lock_guard lock(mutex_);
  return std::exchange(waiting_, {});
}

void CommitQueue::finish(const std::shared_ptr<Waiting>& waiting) {
  while (!waiting->done) commit(take_all());
  if (waiting->failed) std::rethrow_exception(waiting->failed);
}

void CommitQueue::commit(std::vector<std::shared_ptr<Waiting>> group) {
  for (const auto& each : group) {
    try {
      if (each->text) each->change.text = each->text();
    } catch (...) {
      each->failed = std::current_exception();
    }
  }
  // Changes of one document go one after the other.
  while (!group.empty()) {
    std::vector<std::shared_ptr<Waiting>> later;
    std::vector<DocumentStore::Commit> commits;
    for (auto& each : group) {
      if (each->failed) {
        each->done = true;
        continue;
      }
      const auto is_same = [&](const auto& other) { return other.change->name == each->change.name; };
      if (std::ranges::any_of(commits, is_same)) {
        later.push_back(std::move(each));
        continue;
      }
      commits.push_back({&each->change, &each->failed});
      each->done = true;
    }
    try {
      store_.commit(commits);
    } catch (...) {
      // The end of memory: nobody may take his change for made.
      for (const DocumentStore::Commit& each : commits)
        if (!*each.failed) *each.failed = std::current_exception();
    }
    group = std::move(later);
  }
}

}  // namespace warren::driver::store
