// Changes of documents that wait for the same disk share its one sync (group commit).
//
// Whoever has a change puts it here and has finish() called on the store's thread: the first to come there
// commits all that wait by then, the others find theirs done.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "driver/store/document_store.h"

namespace warren::driver::store {

class CommitQueue {
 public:
  class Waiting;

  // `store` outlives it.
  explicit CommitQueue(DocumentStore& store) : store_(store) {}

  // `text` makes the document, on the store's thread. Any thread.
  std::shared_ptr<Waiting> write(std::string name, std::function<std::string()> text);
  std::shared_ptr<Waiting> remove(std::string name);
  // Returns when the change is for good; throws when it was not made. The store's thread.
  void finish(const std::shared_ptr<Waiting>& waiting);

 private:
  std::shared_ptr<Waiting> put(Change change, std::function<std::string()> text);
  std::vector<std::shared_ptr<Waiting>> take_all();
  void commit(std::vector<std::shared_ptr<Waiting>> group);

  DocumentStore& store_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Waiting>> waiting_;
};

}  // namespace warren::driver::store
