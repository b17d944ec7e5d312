// Changes that share a sync: what lasts of them, and what they cost (T11, T12, T13).
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driver/contract/error.h"
#include "driver/store/commit_queue.h"
#include "driver/store/faulty_file_operations.h"

namespace warren::driver::store {
namespace {

std::string name_of(std::string_view text) {
  if (!text.starts_with("name:")) throw std::runtime_error("no name");
  return std::string(text.substr(5, text.find('\n') - 5));
}

std::string document(std::string_view name, std::string_view rest) {
  return "name:" + std::string(name) + "\n" + std::string(rest);
}

class CommitTest : public testing::Test {
 protected:
  using State = std::map<std::string, std::string>;

  CommitTest() { open(); }
  void open() {
    queue_.reset();
    store_.reset();
    store_ = std::make_unique<DocumentStore>("/etc/warren", files_);
    report_ = store_->load_all(name_of);
    queue_ = std::make_unique<CommitQueue>(*store_);
  }
  State state() const {
    State found;
    for (const auto& entry : report_.documents) found[entry.name] = entry.text;
    return found;
  }
  std::shared_ptr<CommitQueue::Waiting> put(const std::string& name, const std::string& rest) {
    return queue_->write(name, [name, rest] { return document(name, rest); });
  }
  void write(const std::string& name, const std::string& rest) { queue_->finish(put(name, rest)); }
  void remove(const std::string& name) { queue_->finish(queue_->remove(name)); }
  // As a daemon finds it that starts after the power was cut: `cache_survives` when the kernel had just
  // written everything back.
  void cut_power(bool cache_survives) {
    // Its destructor may not settle anything any more.
    files_.cut_at = 0;
    queue_.reset();
    store_.reset();
    files_.restart(cache_survives);
    open();
  }

  FaultyFileOperations files_;
  std::unique_ptr<DocumentStore> store_;
  std::unique_ptr<CommitQueue> queue_;
  LoadReport report_;
};

TEST_F(CommitTest, AChangeCostsOneSyncAndManyAtOnceToo) {
  write("first", "makes the log");
  files_.syncs = 0;
  write("a", "1");
  EXPECT_EQ(files_.syncs, 1);
  remove("a");
  EXPECT_EQ(files_.syncs, 2);
  std::vector<std::shared_ptr<CommitQueue::Waiting>> waiting;
  for (int i = 0; i < 16; ++i) waiting.push_back(put("d" + std::to_string(i), "x"));
  for (const auto& each : waiting) queue_->finish(each);
  EXPECT_EQ(files_.syncs, 3);
}

TEST_F(CommitTest, T11WhatWasCommittedIsThereAfterAPowerCut) {
  for (const bool cache_survives : {false, true}) {
    State wanted;
    for (int i = 0; i < 20; ++i) {
      const std::string name = "d" + std::to_string(i % 7);
      if (i % 5 == 4) {
        remove(name);
        wanted.erase(name);
      } else {
        write(name, std::to_string(i));
        wanted[name] = document(name, std::to_string(i));
      }
    }
    cut_power(cache_survives);
    EXPECT_EQ(state(), wanted);
    EXPECT_TRUE(report_.broken.empty());
    cut_power(false);
    EXPECT_EQ(state(), wanted) << "what was found lasts";
    for (const auto& [name, text] : wanted) remove(name);
  }
}

// Each of them is there or not, whenever the power goes; which is up to the disk.
TEST_F(CommitTest, T11APowerCutWithinAGroupLeavesEachBeforeOrAfter) {
  for (const bool cache_survives : {false, true}) {
    bool completed = false;
    for (int cut = 0; !completed; ++cut) {
      write("kept", "old");
      write("gone", "old");
      files_.operations = 0;
      files_.cut_at = cut;
      completed = true;
      const auto one = put("kept", "new"), two = put("fresh", "new"), three = queue_->remove("gone");
      try {
        queue_->finish(one);
      } catch (const PowerCut&) {
        completed = false;
      }
      cut_power(cache_survives);
      const State found = state();
      ASSERT_TRUE(found.contains("kept"));
      const std::string& kept = found.at("kept");
      EXPECT_TRUE(kept == document("kept", "old") || kept == document("kept", "new")) << cut;
      if (completed) {
        EXPECT_EQ(kept, document("kept", "new"));
        EXPECT_TRUE(found.contains("fresh"));
        EXPECT_FALSE(found.contains("gone"));
      }
      if (found.contains("fresh")) remove("fresh");
      ASSERT_LT(cut, 60);
    }
  }
}

TEST_F(CommitTest, ChangesOfOneDocumentKeepTheirOrder) {
  const auto one = put("a", "1"), two = queue_->remove("a"), three = put("a", "3");
  queue_->finish(three);
  queue_->finish(one);
  queue_->finish(two);
  cut_power(false);
  EXPECT_EQ(state(), (State{{"a", document("a", "3")}}));
}

TEST_F(CommitTest, OneThatCannotBeMadeDoesNotKeepTheOthers) {
  const auto bad = put("a/b", "x"), good = put("good", "x");
  const auto broken = queue_->write("broken", []() -> std::string { throw std::runtime_error("no text"); });
  queue_->finish(good);
  EXPECT_THROW(queue_->finish(bad), Error);
  EXPECT_THROW(queue_->finish(broken), std::runtime_error);
  cut_power(false);
  EXPECT_EQ(state(), (State{{"good", document("good", "x")}}));
}

TEST_F(CommitTest, T8TheLogStaysItsSize) {
  State wanted;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "d" + std::to_string(i % 10);
    const std::string rest(50'000, static_cast<char>('a' + i % 26));
    write(name, rest);
    wanted[name] = document(name, rest);
    if (i % 33 == 32) {
      cut_power(false);
      EXPECT_EQ(state(), wanted) << i;
    }
  }
  const int directory = files_.open_directory(0, "/");
  const int etc = files_.open_directory(directory, "etc"), warren = files_.open_directory(etc, "warren");
  const int log = files_.open_read(warren, ChangeLog::kFile);
  std::string content(2 * ChangeLog::kBytes, ' ');
  EXPECT_EQ(files_.read(log, content.data(), content.size()), static_cast<std::ptrdiff_t>(ChangeLog::kBytes));
}

// A machine that has not stopped has lost nothing: what somebody did by hand while no daemon ran stands.
TEST_F(CommitTest, T14AKilledDaemonsFilesAreWhatTheyAre) {
  write("a", "the daemon's");
  const int directory = files_.open_directory(0, "/");
  const int etc = files_.open_directory(directory, "etc"), warren = files_.open_directory(etc, "warren");
  files_.cut_at = 0;  // kill -9: no destructor does anything
  queue_.reset();
  store_.reset();
  files_.cut_at = -1;
  files_.unlink(warren, "a.xml");
  const int edited = files_.create(warren, "a.xml");
  const std::string text = document("a", "by hand");
  files_.write(edited, text.data(), text.size());
  open();
  EXPECT_EQ(state(), (State{{"a", text}}));
}

// T11: a record that was torn is none, and neither is what an earlier use of the log has left behind it.
TEST_F(CommitTest, T11ATornRecordEndsTheLog) {
  write("a", "1");
  write("b", "2");
  const int directory = files_.open_directory(0, "/");
  const int etc = files_.open_directory(directory, "etc"), warren = files_.open_directory(etc, "warren");
  const int log = files_.open_update(warren, ChangeLog::kFile);
  std::string content(ChangeLog::kBytes, ' ');
  files_.read(log, content.data(), content.size());
  const std::size_t second = content.find(document("b", "2"));
  ASSERT_NE(second, std::string::npos);
  files_.write_at(log, "?", 1, second);
  files_.sync(log);
  cut_power(false);
  EXPECT_EQ(state(), (State{{"a", document("a", "1")}}));
}

// T13: a disk that was full when the machine came back keeps the log until there is room.
TEST_F(CommitTest, T13WhatCannotBeRecoveredNowIsRecoveredLater) {
  write("a", "1");
  write("a", "2");
  files_.cut_at = 0;
  queue_.reset();
  store_.reset();
  files_.restart(false);
  {
    DocumentStore first("/etc/warren", files_);
    files_.operations = 0;
    files_.fail_at = 4;  // the first file is not made
    const LoadReport report = first.load_all(name_of);
    ASSERT_EQ(report.broken.size(), 1U);
    EXPECT_EQ(report.broken[0].file, ChangeLog::kFile);
    files_.cut_at = 0;
  }
  files_.restart(false);
  open();
  EXPECT_EQ(state(), (State{{"a", document("a", "2")}}));
}

TEST_F(CommitTest, T26ThreadsThatPutAreServedByTheStoresOwn) {
  std::vector<std::thread> clients;
  std::mutex mutex;
  std::vector<std::shared_ptr<CommitQueue::Waiting>> all;
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; i < 25; ++i) {
        auto waiting = put("d" + std::to_string(client) + "-" + std::to_string(i), "x");
        const std::lock_guard lock(mutex);
        all.push_back(std::move(waiting));
      }
    });
  }
  for (auto& client : clients) client.join();
  for (const auto& each : all) queue_->finish(each);
  cut_power(false);
  EXPECT_EQ(report_.documents.size(), 100U);
}

}  // namespace
}  // namespace warren::driver::store
