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
#include "driver/store/faulty_file_operations.h"

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

// All at once; throws what became of the first that was not made.
void commit(DocumentStore& store, const std::vector<Change>& changes) {
  std::vector<std::exception_ptr> failed(changes.size());
  std::vector<DocumentStore::Commit> commits;
  for (std::size_t i = 0; i < changes.size(); ++i) commits.push_back({&changes[i], &failed[i]});
  store.commit(commits);
  for (const auto& failure : failed)
    if (failure) std::rethrow_exception(failure);
}

constexpr auto kWrite = Change::Kind::write;
constexpr auto kRemove = Change::Kind::remove;

using State = std::map<std::string, std::pair<std::string, bool>>;

State state_of(const LoadReport& report) {
  State state;
  for (const auto& entry : report.documents) state[entry.name] = {entry.text, entry.autostart};
  return state;
}

// A change, and the state before and after it.
struct Tried {
  const char* name;
  std::function<void(DocumentStore&)> prepare;
  std::function<void(DocumentStore&)> change;
};

void PrintTo(const Tried& change, std::ostream* out) {
  *out << change.name;
}

class Durability : public testing::TestWithParam<Tried> {
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
    testing::Values(
        Tried{"create", [](DocumentStore& s) { s.write("other", document("other", "o")); },
              [](DocumentStore& s) { s.write("a", document("a", "new")); }},
        Tried{"replace", [](DocumentStore& s) { s.write("a", document("a", std::string(50'000, 'x'))); },
              [](DocumentStore& s) { s.write("a", document("a", "short")); }},
        Tried{"remove",
              [](DocumentStore& s) {
                s.write("a", document("a", "1"));
                s.set_autostart("a", true);
              },
              [](DocumentStore& s) { s.remove("a"); }},
        Tried{"rename", [](DocumentStore& s) { s.write("a", document("a", "1")); },
              [](DocumentStore& s) { s.rename("a", "b", document("b", "2")); }},
        Tried{"rename_autostarted",
              [](DocumentStore& s) {
                s.write("a", document("a", "1"));
                s.set_autostart("a", true);
              },
              [](DocumentStore& s) { s.rename("a", "b", document("b", "2")); }},
        Tried{"autostart_on", [](DocumentStore& s) { s.write("a", document("a", "1")); },
              [](DocumentStore& s) { s.set_autostart("a", true); }},
        Tried{"autostart_off",
              [](DocumentStore& s) {
                s.write("a", document("a", "1"));
                s.set_autostart("a", true);
              },
              [](DocumentStore& s) { s.set_autostart("a", false); }},
        Tried{"commit_first", [](DocumentStore& s) { s.write("other", document("other", "o")); },
              [](DocumentStore& s) { commit(s, {{kWrite, "a", document("a", "new")}}); }},
        Tried{"commit_replace",
              [](DocumentStore& s) { commit(s, {{kWrite, "a", document("a", std::string(50'000, 'x'))}}); },
              [](DocumentStore& s) { commit(s, {{kWrite, "a", document("a", "short")}}); }},
        Tried{"commit_remove",
              [](DocumentStore& s) {
                commit(s, {{kWrite, "a", document("a", "1")}});
                s.set_autostart("a", true);
              },
              [](DocumentStore& s) { commit(s, {{kRemove, "a", {}}}); }},
        Tried{"set_autostart_after_a_commit",
              [](DocumentStore& s) { commit(s, {{kWrite, "a", document("a", "1")}}); },
              [](DocumentStore& s) { s.set_autostart("a", true); }},
        Tried{"commit_too_long_for_the_log",
              [](DocumentStore& s) { commit(s, {{kWrite, "a", document("a", "1")}}); },
              [](DocumentStore& s) {
                commit(s, {{kWrite, "a", document("a", std::string(ChangeLog::kBytes, 'x'))}});
              }}),
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
