// T20: where the key comes from, and that a sealed value opens for its own secret and key only.

#include "driver/secret/sealer.h"

#include <algorithm>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/contract/error.h"

namespace warren::driver::secret {
namespace {

constexpr std::string_view kValue = "correct horse battery staple";

SecretValue value_of(std::string_view text) {
  return SecretValue(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));  // as bytes
}

std::string text_of(const SecretValue& value) {
  return {value.bytes().begin(), value.bytes().end()};
}

class SealerTest : public testing::Test {
 protected:
  SealerTest() {
    char name[] = "/tmp/warren-sealer-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~SealerTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  std::filesystem::path key_file() const { return root_ / "state" / "key"; }
  void write_key(const std::filesystem::path& path, const std::string& bytes, mode_t mode = 0600) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << bytes;
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
  }

  std::filesystem::path root_;
  Uuid uuid_ = Uuid::random();
};

TEST_F(SealerTest, OpensWhatItSealedAlsoAfterARestart) {
  SealedValue sealed;
  {
    Sealer sealer({.key_file = key_file()});
    sealed = sealer.seal(uuid_, value_of(kValue));
    EXPECT_EQ(text_of(sealer.open(uuid_, sealed)), kValue);
    EXPECT_NE(sealer.seal(uuid_, value_of(kValue)).bytes, sealed.bytes);  // another nonce
  }
  EXPECT_EQ(std::search(sealed.bytes.begin(), sealed.bytes.end(), kValue.begin(), kValue.end()),
            sealed.bytes.end());
  Sealer again({.key_file = key_file()});
  EXPECT_EQ(text_of(again.open(uuid_, sealed)), kValue);
}

TEST_F(SealerTest, KeyFileIsForItsOwnerOnly) {
  Sealer({.key_file = key_file()}).seal(uuid_, value_of(kValue));
  struct stat status{};
  ASSERT_EQ(::stat(key_file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_EQ(status.st_size, 32);
}

TEST_F(SealerTest, AnEmptyValueIsAValue) {
  Sealer sealer({.key_file = key_file()});
  EXPECT_EQ(text_of(sealer.open(uuid_, sealer.seal(uuid_, SecretValue()))), "");
}

TEST_F(SealerTest, EveryChangedByteIsNoticed) {
  Sealer sealer({.key_file = key_file()});
  const SealedValue sealed = sealer.seal(uuid_, value_of(kValue));
  for (std::size_t i = 0; i < sealed.bytes.size(); ++i) {
    SealedValue changed = sealed;
    changed.bytes[i] ^= 1;
    EXPECT_THROW(sealer.open(uuid_, changed), Error) << i;
  }
  for (std::size_t size = 0; size < sealed.bytes.size(); ++size) {
    SealedValue cut{sealed.key_id, {sealed.bytes.begin(), sealed.bytes.begin() + static_cast<long>(size)}};
    EXPECT_THROW(sealer.open(uuid_, cut), Error) << size;
  }
}

TEST_F(SealerTest, AValueCannotBeMovedToAnotherSecret) {
  Sealer sealer({.key_file = key_file()});
  EXPECT_THROW(sealer.open(Uuid::random(), sealer.seal(uuid_, value_of(kValue))), Error);
}

TEST_F(SealerTest, AnotherKeySaysSo) {
  const SealedValue sealed = Sealer({.key_file = key_file()}).seal(uuid_, value_of(kValue));
  Sealer other({.key_file = root_ / "other"});
  other.seal(uuid_, value_of("x"));
  try {
    other.open(uuid_, sealed);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), VIR_ERR_INTERNAL_ERROR);
    EXPECT_NE(error.detail().find("sealed with another key"), std::string::npos) << error.detail();
  }
}

TEST_F(SealerTest, TheCredentialSealsAndTheKeyFileStillOpens) {
  const SealedValue old = Sealer({.key_file = key_file()}).seal(uuid_, value_of("old"));
  const auto credential = root_ / "credentials" / "key";
  write_key(credential, std::string(32, 'k'), 0400);
  Sealer sealer({.key_file = key_file(), .credential = credential});
  EXPECT_EQ(text_of(sealer.open(uuid_, old)), "old");
  const SealedValue fresh = sealer.seal(uuid_, value_of("new"));
  EXPECT_NE(fresh.key_id, old.key_id);
  std::filesystem::remove(key_file());
  EXPECT_EQ(text_of(Sealer({.key_file = key_file(), .credential = credential}).open(uuid_, fresh)), "new");
  EXPECT_FALSE(std::filesystem::exists(key_file()));
}

TEST_F(SealerTest, AKeyThatIsNotSafeIsRefused) {
  struct Case {
    std::string bytes;
    mode_t mode;
    const char* says;
  };
  for (const Case& c :
       {Case{std::string(32, 'k'), 0644, "can be read by others"},
        Case{std::string(32, 'k'), 0640, "can be read by others"},
        Case{std::string(31, 'k'), 0600, "no file of 32 bytes"},
        Case{std::string(33, 'k'), 0600, "no file of 32 bytes"}, Case{"", 0600, "32 bytes"}}) {
    write_key(key_file(), c.bytes, c.mode);
    try {
      Sealer({.key_file = key_file()}).seal(uuid_, value_of(kValue));
      FAIL() << c.says;
    } catch (const Error& error) {
      EXPECT_NE(error.detail().find(c.says), std::string::npos) << error.detail();
    }
  }
}

// T19: a link in the key's place leads nowhere.
TEST_F(SealerTest, AKeyIsNoLink) {
  write_key(root_ / "elsewhere", std::string(32, 'k'));
  std::filesystem::create_directories(key_file().parent_path());
  std::filesystem::create_symlink(root_ / "elsewhere", key_file());
  EXPECT_THROW(Sealer({.key_file = key_file()}).seal(uuid_, value_of(kValue)), Error);
}

TEST(SecretValueTest, IsOverwrittenWhenMovedOverAndAtItsEnd) {
  SecretValue value = value_of(kValue);
  SecretValue moved = std::move(value);
  EXPECT_TRUE(value.bytes().empty());
  EXPECT_EQ(text_of(moved), kValue);
  std::uint8_t memory[4] = {1, 2, 3, 4};
  wipe(memory, sizeof memory);
  EXPECT_TRUE(std::all_of(std::begin(memory), std::end(memory), [](auto byte) { return byte == 0; }));
}

}  // namespace
}  // namespace warren::driver::secret
