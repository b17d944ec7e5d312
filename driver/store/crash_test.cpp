// A power cut at any moment of a store's life (class T11): cut at each sync, torn at each sector, with any of
// what was not synced lost; and another one while the store recovers. What was said to be done is found, what
// was under way is as before or as after, and nothing is broken.
//
// STORE_CRASH_POINTS says how many cuts are tried (3,000 without it), STORE_CRASH_FIRST the first life's
// number.
#include <cstdio>
#include <cstdlib>
#include <random>

#include <gtest/gtest.h>

#include "driver/contract/error.h"
#include "driver/store/document_store.h"
#include "driver/store/recording_file_operations.h"

namespace warren::driver::store {
namespace {

using Document = std::pair<std::string, bool>;  // text, autostart
using State = std::map<std::string, Document>;
using Effect = RecordingFileOperations::Effect;

// The name of a document of these tests is its first line.
std::string name_of(std::string_view text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) throw std::runtime_error("no first line");
  return std::string(text.substr(0, end));
}

class Random {
 public:
  explicit Random(std::uint64_t seed) : random_(seed) {}
  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }
  bool one_in(std::size_t count) { return below(count) == 0; }

 private:
  std::mt19937_64 random_;
};

// A change, from which effect on it was under way, and from which on it was said to be done.
struct Step {
  std::size_t begin = 0, end = 0;
  State after;
  bool is_whole = false;  // its documents change together
};

// What may be found after so many effects.
class History {
 public:
  void add(Step step) { steps_.push_back(std::move(step)); }
  const State& now() const { return steps_.empty() ? nothing_ : steps_.back().after; }

  bool allows(std::size_t effects, const State& found) const {
    std::size_t done = 0;
    while (done < steps_.size() && steps_[done].end <= effects) ++done;
    const State& before = done == 0 ? nothing_ : steps_[done - 1].after;
    if (found == before) return true;
    if (done == steps_.size() || steps_[done].begin > effects) return false;
    const State& after = steps_[done].after;
    if (found == after) return true;
    return !steps_[done].is_whole && is_between(found, before, after);
  }

 private:
  static const Document* find(const State& state, const std::string& name) {
    const auto entry = state.find(name);
    return entry == state.end() ? nullptr : &entry->second;
  }
  static bool is_between(const State& found, const State& before, const State& after) {
    State names = before;
    names.insert(after.begin(), after.end());
    names.insert(found.begin(), found.end());
    return std::ranges::all_of(names, [&](const auto& entry) {
      const auto same = [](const Document* one, const Document* other) {
        return one == nullptr || other == nullptr ? one == other : *one == *other;
      };
      const Document* there = find(found, entry.first);
      return same(there, find(before, entry.first)) || same(there, find(after, entry.first));
    });
  }

  const State nothing_;
  std::vector<Step> steps_;
};

// Changes of every kind, one after the other.
class Life {
 public:
  explicit Life(std::uint64_t seed) : random_(seed) {
    open();
    for (int i = 0; i < 14; ++i) {
      if (random_.one_in(8)) open();
      step();
    }
    begin();
    store_.reset();
    end(history_.now(), true);
  }
  const RecordingFileOperations& files() const { return files_; }
  const History& history() const { return history_; }

 private:
  void open() {
    begin();
    store_.reset();
    store_.emplace("/etc/warren", files_);
    EXPECT_TRUE(store_->load_all(name_of).broken.empty());
    end(history_.now(), true);
  }
  void begin() { begin_ = files_.log().size(); }
  void end(State after, bool is_whole) {
    history_.add({begin_, files_.log().size(), std::move(after), is_whole});
  }
  std::string text_of(const std::string& name) {
    // Mostly a few sectors; some that fill the log, and with it sync all.
    const std::size_t size = random_.one_in(12) ? 400'000 : random_.below(3000);
    ++serial_;
    return name + "\n" + std::to_string(serial_) + std::string(size, static_cast<char>('a' + serial_ % 26));
  }
  std::string any_name() { return "d" + std::to_string(random_.below(5)); }

  void step() {
    State after = history_.now();
    const std::string name = any_name();
    const std::size_t choice = random_.below(10);
    begin();
    if (choice < 5) return commit(std::move(after));
    if (choice == 5) {
      const std::string text = text_of(name);
      store_->write(name, text);
      after[name].first = text;
    } else if (choice == 6) {
      store_->remove(name);
      after.erase(name);
    } else if (choice == 7) {
      const std::string other = any_name();
      if (!after.contains(name) || after.contains(other)) return;
      const std::string text = text_of(other);
      store_->rename(name, other, text);
      after[other] = {text, after.at(name).second};
      after.erase(name);
    } else {
      if (!after.contains(name)) return;
      store_->set_autostart(name, choice == 8);
      after.at(name).second = choice == 8;
    }
    end(std::move(after), true);
  }

  void commit(State after) {
    std::map<std::string, Change> changes;
    for (std::size_t i = 0, count = 1 + random_.below(4); i < count; ++i) {
      const std::string name = any_name();
      if (changes.contains(name)) continue;
      const bool removes = random_.one_in(3);
      changes[name] = {removes ? Change::Kind::remove : Change::Kind::write, name,
                       removes ? "" : text_of(name)};
      if (removes) {
        after.erase(name);
      } else {
        after[name].first = changes.at(name).text;
      }
    }
    std::vector<std::exception_ptr> failed(changes.size());
    std::vector<DocumentStore::Commit> commits;
    for (const auto& [name, change] : changes) commits.push_back({&change, &failed[commits.size()]});
    store_->commit(commits);
    EXPECT_TRUE(std::ranges::none_of(failed, [](const std::exception_ptr& each) { return bool(each); }));
    end(std::move(after), false);
  }

  Random random_;
  RecordingFileOperations files_;
  std::optional<DocumentStore> store_;
  History history_;
  std::size_t begin_ = 0;
  unsigned serial_ = 0;
};

class Cuts {
 public:
  explicit Cuts(std::uint64_t seed) : seed_(seed), random_(seed * 7919), life_(seed) {}

  // Returns how many were tried.
  std::size_t run() {
    const auto& log = life_.files().log();
    const RecordingFileOperations::Choice lost{[](std::size_t, std::size_t) { return false; },
                                               [](std::size_t) { return false; }};
    const RecordingFileOperations::Choice kept{[](std::size_t, std::size_t) { return true; },
                                               [](std::size_t) { return true; }};
    for (std::size_t i = 0; i <= log.size() && !testing::Test::HasFailure(); ++i) {
      if (i < log.size() && log[i].kind == Effect::Kind::write) torn(i);
      look(i, kept, "kept");
      if (i < log.size() && log[i].kind == Effect::Kind::write) continue;
      look(i, lost, "lost");
      for (int j = 0; j < 4; ++j) mixed(i);
    }
    return tried_;
  }

 private:
  // Everything before it is there, and it is in part.
  void torn(std::size_t effect) {
    const Effect& write = life_.files().log()[effect];
    const std::size_t first = write.offset / RecordingFileOperations::kSector;
    const std::size_t sectors =
        (write.data.size() + RecordingFileOperations::kSector - 1) / RecordingFileOperations::kSector;
    for (std::size_t i = 0; i < sectors; ++i) {
      // Of long data every sector is alike; its first ones and its last are enough.
      if (i > 8 && i + 2 < sectors && !random_.one_in(40)) continue;
      look(effect + 1,
           {[=](std::size_t each, std::size_t sector) { return each != effect || sector < first + i; },
            [](std::size_t) { return true; }},
           "torn");
    }
  }
  // Any of what was not synced.
  void mixed(std::size_t count) {
    const std::size_t odds = 2 + random_.below(3);
    const bool inverse = random_.one_in(2);
    look(count,
         {[&, odds, inverse](std::size_t, std::size_t) { return random_.one_in(odds) != inverse; },
          [&, odds](std::size_t) { return !random_.one_in(2 * odds); }},
         "mixed");
  }

  static std::optional<State> load(FileOperations& files, std::string& why) {
    try {
      DocumentStore store("/etc/warren", files);
      const LoadReport report = store.load_all(name_of);
      for (const BrokenDocument& broken : report.broken) why += broken.file + ": " + broken.reason + "\n";
      State state;
      for (const StoredDocument& entry : report.documents) state[entry.name] = {entry.text, entry.autostart};
      if (why.empty()) return state;
    } catch (const Error& error) {
      why = error.message();
    }
    return std::nullopt;
  }

  void look(std::size_t count, const RecordingFileOperations::Choice& choice, const char* how) {
    if (testing::Test::HasFailure()) return;
    ++tried_;
    const auto found = life_.files().cut(count, choice);
    const std::string where =
        "seed " + std::to_string(seed_) + ", " + how + " after " + std::to_string(count);
    if (!random_.one_in(8)) {
      FaultyFileOperations files(found.root, found.boots);
      expect(files, count, where);
      return;
    }
    // The power goes again while it recovers.
    RecordingFileOperations files(found.root, found.boots);
    expect(files, count, where);
    const std::size_t again = random_.below(files.log().size() + 1);
    const std::size_t odds = 1 + random_.below(3);
    const auto rest = files.cut(again, {[&](std::size_t, std::size_t) { return random_.one_in(odds); },
                                        [&](std::size_t) { return random_.one_in(odds); }});
    FaultyFileOperations last(rest.root, rest.boots);
    ++tried_;
    expect(last, count, where + ", and again after " + std::to_string(again));
  }

  void expect(FileOperations& files, std::size_t count, const std::string& where) {
    std::string why;
    const std::optional<State> first = load(files, why);
    ASSERT_TRUE(first) << where << ": " << why;
    ASSERT_TRUE(life_.history().allows(count, *first)) << where << describe(*first);
    ASSERT_TRUE(load(files, why) == first) << where << ": another load finds the same";
  }
  static std::string describe(const State& state) {
    std::string text;
    for (const auto& [name, document] : state)
      text += "\n  " + name + " autostart " + (document.second ? "yes " : "no ") +
              document.first.substr(0, 12) + "… " + std::to_string(document.first.size()) + " bytes";
    return text;
  }

  const std::uint64_t seed_;
  Random random_;
  const Life life_;
  std::size_t tried_ = 0;
};

TEST(DocumentStoreCrash, T11EveryPrefixOfItsWritesIsAGoodStore) {
  const auto number = [](const char* name, std::size_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoul(text, nullptr, 10) : otherwise;
  };
  const std::size_t points = number("STORE_CRASH_POINTS", 3000);
  const std::uint64_t first = number("STORE_CRASH_FIRST", 1);
  std::size_t tried = 0;
  std::uint64_t seed = first;
  for (; tried < points && !HasFailure(); ++seed) tried += Cuts(seed).run();
  std::printf("%zu cuts of %zu lives\n", tried, static_cast<std::size_t>(seed - first));
}

}  // namespace
}  // namespace warren::driver::store
