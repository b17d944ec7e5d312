// Durability of DocumentStore: every step of every change made to fail, or to be the last before a power cut
// (T11, T12, T13), and modes and names (T19, T20).
#include "driver/store/document_store.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <variant>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/contract/error.h"

namespace warren::driver::store {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

// The name of a document of these tests is its first line.
std::string name_of(std::string_view text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) throw std::runtime_error("no first line");
  return std::string(text.substr(0, end));
}

std::string document(std::string_view name, std::string_view rest) {
  return std::string(name) + "\n" + std::string(rest);
}

struct PowerCut {};

// A file system in memory that knows what is on the disk and what is only in the cache: a power cut keeps a
// file's synced content under the names its directory had when that was synced. Any operation can be made
// to fail or to be the last.
class FaultyFileOperations : public FileOperations {
 public:
  struct Node;
  using NodePointer = std::shared_ptr<Node>;
  struct Node {
    bool directory = false;
    std::string link;  // of a symbolic link
    std::string content, durable_content;
    std::map<std::string, NodePointer> entries, durable_entries;
  };

  FaultyFileOperations() { root_->directory = true; }

  int fail_at = -1;  // the operation, counted from 0, that fails with `error`
  int error = ENOSPC;
  bool fail_for_good = false;  // and all after it
  int cut_at = -1;             // the operation before which the power goes
  std::size_t write_limit = 1 << 20;
  int operations = 0;

  // What is found after a power cut. `cache_survives`: the kernel wrote everything back just before.
  void restart(bool cache_survives) {
    descriptors_.clear();
    if (!cache_survives) revert(*root_);
    fail_at = cut_at = -1;
    fail_for_good = false;
    operations = 0;
  }
  std::size_t open_descriptors() const { return descriptors_.size(); }

  int create(int directory, const std::string& name) override {
    if (const int fault = step()) return fault;
    auto& entries = at(directory).entries;
    if (entries.contains(name)) return -EEXIST;
    entries[name] = std::make_shared<Node>();
    return open(entries[name]);
  }
  int open_read(int directory, const std::string& name) override {
    if (const int fault = step()) return fault;
    return open_existing(directory, name);
  }
  int open_directory(int directory, const std::string& name) override {
    if (name == "/") return open(root_);
    if (const int fault = step()) return fault;
    return open_existing(directory, name);
  }
  int make_directory(int directory, const std::string& name) override {
    if (const int fault = step()) return fault;
    auto& entries = at(directory).entries;
    if (entries.contains(name)) return -EEXIST;
    entries[name] = std::make_shared<Node>();
    entries[name]->directory = true;
    return 0;
  }
  int close(int fd) override {
    descriptors_.erase(fd);
    return 0;
  }
  std::ptrdiff_t write(int fd, const char* data, std::size_t size) override {
    if (const int fault = step()) return fault;
    size = std::min(size, write_limit);
    at(fd).content.append(data, size);
    return static_cast<std::ptrdiff_t>(size);
  }
  std::ptrdiff_t read(int fd, char* data, std::size_t size) override {
    if (const int fault = step()) return fault;
    std::size_t& offset = descriptors_.at(fd).second;
    const std::string& content = at(fd).content;
    const std::size_t got = content.copy(data, size, offset);
    offset += got;
    return static_cast<std::ptrdiff_t>(got);
  }
  int sync(int fd) override {
    if (const int fault = step()) return fault;
    at(fd).durable_content = at(fd).content;
    at(fd).durable_entries = at(fd).entries;
    return 0;
  }
  int rename(int directory, const std::string& from, const std::string& to) override {
    if (const int fault = step()) return fault;
    auto& entries = at(directory).entries;
    if (!entries.contains(from)) return -ENOENT;
    entries[to] = entries[from];
    entries.erase(from);
    return 0;
  }
  int rename_new(int directory, const std::string& from, const std::string& to) override {
    if (at(directory).entries.contains(to)) return -EEXIST;
    return rename(directory, from, to);
  }
  int unlink(int directory, const std::string& name) override {
    if (const int fault = step()) return fault;
    return at(directory).entries.erase(name) ? 0 : -ENOENT;
  }
  int symlink(const std::string& target, int directory, const std::string& name) override {
    if (const int fault = step()) return fault;
    auto& entries = at(directory).entries;
    if (entries.contains(name)) return -EEXIST;
    entries[name] = std::make_shared<Node>();
    entries[name]->link = target;
    return 0;
  }
  int list(int directory, std::vector<std::string>& names) override {
    if (const int fault = step()) return fault;
    for (const auto& [name, node] : at(directory).entries) names.push_back(name);
    return 0;
  }
  int kind(int directory, const std::string& name) override {
    const auto& entries = at(directory).entries;
    const auto found = entries.find(name);
    if (found == entries.end()) return -ENOENT;
    if (!found->second->link.empty()) return 2;
    return found->second->directory ? 0 : 1;
  }

 private:
  int step() {
    const int number = operations++;
    if (cut_at >= 0 && number >= cut_at) throw PowerCut();
    return number == fail_at || (fail_for_good && fail_at >= 0 && number > fail_at) ? -error : 0;
  }
  Node& at(int fd) { return *descriptors_.at(fd).first; }
  int open(NodePointer node) {
    descriptors_[next_] = {std::move(node), 0};
    return next_++;
  }
  int open_existing(int directory, const std::string& name) {
    auto& entries = at(directory).entries;
    const auto found = entries.find(name);
    return found == entries.end() ? -ENOENT : open(found->second);
  }
  static void revert(Node& node) {
    node.content = node.durable_content;
    node.entries = node.durable_entries;
    for (auto& [name, child] : node.entries) revert(*child);
  }

  NodePointer root_ = std::make_shared<Node>();
  std::map<int, std::pair<NodePointer, std::size_t>> descriptors_;
  int next_ = 3;
};

using State = std::map<std::string, std::pair<std::string, bool>>;

State state_of(const LoadReport& report) {
  State state;
  for (const auto& entry : report.documents) state[entry.name] = {entry.text, entry.autostart};
  return state;
}

// A change, and the state before and after it.
struct Change {
  const char* name;
  std::function<void(DocumentStore&)> prepare;
  std::function<void(DocumentStore&)> change;
};

void PrintTo(const Change& change, std::ostream* out) {
  *out << change.name;
}

class Durability : public testing::TestWithParam<Change> {
 protected:
  static State load(FaultyFileOperations& files) {
    DocumentStore store("/etc/warren", files);
    const LoadReport report = store.load_all(name_of);
    EXPECT_TRUE(report.broken.empty());
    return state_of(report);
  }
  // Runs the preparation, then the change with `arm` applied to the file system before it.
  static std::unique_ptr<FaultyFileOperations> run(const std::function<void(FaultyFileOperations&)>& arm,
                                                   bool& completed, State& before) {
    auto files = std::make_unique<FaultyFileOperations>();
    {
      DocumentStore store("/etc/warren", *files);
      GetParam().prepare(store);
    }
    before = load(*files);
    DocumentStore store("/etc/warren", *files);
    store.load_all(name_of);
    files->operations = 0;
    arm(*files);
    completed = false;
    try {
      GetParam().change(store);
      completed = true;
    } catch (const Error&) {
    } catch (const PowerCut&) {
    }
    return files;
  }
  static State after() {
    bool completed = false;
    State before;
    const auto files = run([](FaultyFileOperations&) {}, completed, before);
    EXPECT_TRUE(completed);
    files->restart(false);
    return load(*files);
  }
};

TEST_P(Durability, T11PowerCutBeforeEveryStepLeavesBeforeOrAfter) {
  const State wanted = after();
  for (const bool cache_survives : {false, true}) {
    int cut = 0;
    for (bool completed = false; !completed; ++cut) {
      State before;
      const auto files = run([&](FaultyFileOperations& f) { f.cut_at = cut; }, completed, before);
      files->restart(cache_survives);
      const State found = load(*files);
      EXPECT_TRUE(found == before || found == wanted) << "cut " << cut << ", cache " << cache_survives;
      if (completed) {
        EXPECT_EQ(found, wanted);
      }
      EXPECT_EQ(load(*files), found) << "a second load finds the same";
      ASSERT_LT(cut, 100);
    }
    EXPECT_GT(cut, 2);
  }
}

TEST_P(Durability, T12T13FailureOfEveryStepIsReportedAndLosesNothing) {
  const State wanted = after();
  for (const bool for_good : {false, true}) {
    for (const int error : {ENOSPC, EIO, EROFS, EDQUOT}) {
      int step = 0;
      for (int faults = 0;; ++step) {
        bool completed = false;
        State before;
        const auto files = run(
            [&](FaultyFileOperations& f) {
              f.fail_at = step;
              f.error = error;
              f.fail_for_good = for_good;
            },
            completed, before);
        const bool reached = files->operations > step;
        files->restart(true);
        const State found = load(*files);
        EXPECT_TRUE(found == before || found == wanted) << "step " << step << " error " << error;
        EXPECT_EQ(files->open_descriptors(), 0u);
        if (!reached) {
          EXPECT_TRUE(completed);
          EXPECT_GT(faults, 1);
          break;
        }
        if (completed) {
          EXPECT_EQ(found, wanted) << "step " << step;
        } else {
          ++faults;
        }
        ASSERT_LT(step, 100);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    DocumentStore, Durability,
    testing::Values(Change{"create", [](DocumentStore& s) { s.write("other", document("other", "o")); },
                           [](DocumentStore& s) { s.write("a", document("a", "new")); }},
                    Change{"replace",
                           [](DocumentStore& s) { s.write("a", document("a", std::string(50'000, 'x'))); },
                           [](DocumentStore& s) { s.write("a", document("a", "short")); }},
                    Change{"remove",
                           [](DocumentStore& s) {
                             s.write("a", document("a", "1"));
                             s.set_autostart("a", true);
                           },
                           [](DocumentStore& s) { s.remove("a"); }},
                    Change{"rename", [](DocumentStore& s) { s.write("a", document("a", "1")); },
                           [](DocumentStore& s) { s.rename("a", "b", document("b", "2")); }},
                    Change{"rename_autostarted",
                           [](DocumentStore& s) {
                             s.write("a", document("a", "1"));
                             s.set_autostart("a", true);
                           },
                           [](DocumentStore& s) { s.rename("a", "b", document("b", "2")); }},
                    Change{"autostart_on", [](DocumentStore& s) { s.write("a", document("a", "1")); },
                           [](DocumentStore& s) { s.set_autostart("a", true); }},
                    Change{"autostart_off",
                           [](DocumentStore& s) {
                             s.write("a", document("a", "1"));
                             s.set_autostart("a", true);
                           },
                           [](DocumentStore& s) { s.set_autostart("a", false); }}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(DocumentStore, ShortWritesAreContinued) {
  FaultyFileOperations files;
  files.write_limit = 7;
  const std::string text = document("a", std::string(1000, 'y'));
  DocumentStore store("/s", files);
  store.write("a", text);
  EXPECT_EQ(store.load_all(name_of).documents.at(0).text, text);
}

// On a real directory from here on.
class OnDisk : public testing::Test {
 protected:
  OnDisk() {
    char name[] = "/tmp/warren-store-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~OnDisk() override { fs::remove_all(directory_); }
  fs::path path() const { return directory_ / "a/b/domains"; }

  fs::path directory_;
};

unsigned int mode(const fs::path& path) {
  struct stat status{};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status.st_mode & 07777;
}

void put(const fs::path& path, std::string_view text) {
  std::ofstream(path) << text;
}

TEST_F(OnDisk, T20Modes) {
  const mode_t old = ::umask(0);
  {
    DocumentStore store(path());
    store.write("a", document("a", ""));
    store.set_autostart("a", true);
  }
  ::umask(old);
  EXPECT_EQ(mode(path()), 0700u);
  EXPECT_EQ(mode(path() / "a.xml"), 0600u);
  EXPECT_EQ(mode(path() / "autostart"), 0700u);
  EXPECT_EQ(fs::read_symlink(path() / "autostart/a.xml"), "../a.xml");
}

TEST_F(OnDisk, RoundTrip) {
  {
    DocumentStore store(path());
    store.write("b", document("b", "2"));
    store.write("a", document("a", "1"));
    store.set_autostart("b", true);
    store.rename("a", "c", document("c", "3"));
  }
  DocumentStore store(path());
  const LoadReport report = store.load_all(name_of);
  EXPECT_TRUE(report.broken.empty());
  ASSERT_EQ(report.documents.size(), 2u);
  EXPECT_EQ(report.documents[0].name, "b");
  EXPECT_TRUE(report.documents[0].autostart);
  EXPECT_EQ(report.documents[1].text, document("c", "3"));
  EXPECT_FALSE(report.documents[1].autostart);
}

TEST_F(OnDisk, T19NamesThatAreNoFileNamesAreRefused) {
  DocumentStore store(path());
  for (const std::string& name : {std::string(), std::string("a/b"), std::string("../x"),
                                  std::string("a\0b", 3), std::string(300, 'x')}) {
    EXPECT_THROW(store.write(name, "x"), Error) << name;
    EXPECT_THROW(store.remove(name), Error);
    EXPECT_THROW(store.set_autostart(name, true), Error);
    EXPECT_THROW(store.rename("a", name, "x"), Error);
  }
  for (const std::string& name : {std::string("."), std::string(".."), std::string("-rf"),
                                  std::string("ä b\n"), std::string(246, 'x')}) {
    store.write(name, document("x", ""));
    EXPECT_TRUE(fs::exists(path() / (name + ".xml"))) << name;
    store.remove(name);
  }
}

TEST_F(OnDisk, BrokenFilesAreSetAsideAndNeverDeleted) {
  fs::create_directories(path());
  put(path() / "good.xml", document("good", ""));
  put(path() / "bad.xml", "nonsense");
  put(path() / "bad.xml.broken", "earlier nonsense");
  put(path() / "copy.xml", document("good", "copied by hand"));
  fs::create_symlink("/etc/passwd", path() / "link.xml");
  ASSERT_EQ(::mkfifo((path() / "fifo.xml").c_str(), 0600), 0);
  put(path() / "README", "not a document");
  put(path() / ".half.xml.new", "an interrupted write");
  DocumentStore store(path());
  const LoadReport report = store.load_all(name_of);
  ASSERT_EQ(report.documents.size(), 1u);
  std::map<std::string, std::string> aside;
  for (const auto& broken : report.broken) aside[broken.file] = broken.set_aside;
  EXPECT_EQ(aside, (std::map<std::string, std::string>{{"bad.xml", "bad.xml.broken.1"},
                                                       {"copy.xml", "copy.xml.broken"},
                                                       {"fifo.xml", "fifo.xml.broken"},
                                                       {"link.xml", "link.xml.broken"}}));
  EXPECT_TRUE(fs::exists(path() / "bad.xml.broken.1"));
  EXPECT_TRUE(fs::exists(path() / "README"));
  EXPECT_FALSE(fs::exists(path() / ".half.xml.new"));
  EXPECT_TRUE(store.load_all(name_of).broken.empty());
}

TEST_F(OnDisk, RenameRefusesANameInUse) {
  DocumentStore store(path());
  store.write("a", document("a", ""));
  store.write("b", document("b", ""));
  EXPECT_THROW(store.rename("a", "b", document("b", "a's")), Error);
  EXPECT_EQ(store.load_all(name_of).documents.size(), 2u);
}

TEST_F(OnDisk, ErrorsNamePathAndCause) {
  put(directory_ / "a", "a file where a directory is to be");
  try {
    DocumentStore store(path());
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_SYSTEM_ERROR);
    EXPECT_THAT(error.message(), HasSubstr(path().string()));
    EXPECT_THAT(error.message(), HasSubstr("Not a directory"));
  }
}

}  // namespace
}  // namespace warren::driver::store
