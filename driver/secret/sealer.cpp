#include "driver/secret/sealer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::secret {

namespace {

constexpr std::size_t kKeySize = crypto_aead_xchacha20poly1305_ietf_KEYBYTES;
constexpr std::size_t kNonceSize = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagSize = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr std::size_t kKeyIdSize = crypto_generichash_BYTES_MIN;
constexpr std::string_view kPurpose = "warren secret value 1";
constexpr std::string_view kKeyIdPurpose = "warren secret key id 1";

[[noreturn]] void fail(std::string detail) {
  throw Error(VIR_ERR_INTERNAL_ERROR, std::move(detail), VIR_FROM_SECRET);
}

[[noreturn]] void fail_with_errno(int number, std::string_view what) {
  throw Error(VIR_ERR_SYSTEM_ERROR, fmt::format("{}: {}", what, std::strerror(number)), VIR_FROM_SECRET)
      .with_numbers(number, -1);
}

// What a value is bound to.
std::array<std::uint8_t, kPurpose.size() + sizeof(Uuid)> associated_data(const Uuid& secret) {
  std::array<std::uint8_t, kPurpose.size() + sizeof(Uuid)> data{};
  std::copy(kPurpose.begin(), kPurpose.end(), data.begin());
  std::copy(secret.bytes.begin(), secret.bytes.end(), data.begin() + kPurpose.size());
  return data;
}

// False if there is no such file.
bool read_key(const std::filesystem::path& path, std::span<std::uint8_t> key) {
  vmm::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) {
    if (errno == ENOENT) return false;
    fail_with_errno(errno, fmt::format("open the key of the secrets '{}'", path.native()));
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) fail_with_errno(errno, fmt::format("look at '{}'", path.native()));
  if (!S_ISREG(status.st_mode) || status.st_size != static_cast<off_t>(key.size()))
    fail(fmt::format("the key of the secrets '{}' is no file of {} bytes", path.native(), key.size()));
  if (status.st_uid != ::geteuid() || (status.st_mode & 077) != 0)
    fail(fmt::format(
        "the key of the secrets '{}' can be read by others: it is to be owned by uid {} with mode 0600",
        path.native(), ::geteuid()));
  for (std::size_t done = 0; done < key.size();) {
    const ssize_t size = ::read(file.get(), key.data() + done, key.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) fail_with_errno(size < 0 ? errno : EIO, fmt::format("read '{}'", path.native()));
    done += static_cast<std::size_t>(size);
  }
  return true;
}

// The file appears whole, or not at all: values sealed with half a key would be lost.
void write_key(const std::filesystem::path& path, std::span<const std::uint8_t> key) {
  const std::filesystem::path directory = path.parent_path();
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  vmm::FileDescriptor folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) fail_with_errno(errno, fmt::format("open directory '{}'", directory.native()));
  const std::filesystem::path temporary = path.native() + ".new";
  ::unlink(temporary.c_str());
  vmm::FileDescriptor file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) fail_with_errno(errno, fmt::format("make '{}'", temporary.native()));
  for (std::size_t done = 0; done < key.size();) {
    const ssize_t size = ::write(file.get(), key.data() + done, key.size() - done);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) fail_with_errno(size < 0 ? errno : EIO, fmt::format("write '{}'", temporary.native()));
    done += static_cast<std::size_t>(size);
  }
  if (::fsync(file.get()) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0 ||
      ::fsync(folder.get()) != 0)
    fail_with_errno(errno, fmt::format("store '{}'", path.native()));
}

}  // namespace

struct Sealer::Key {
  Key() : bytes(static_cast<std::uint8_t*>(sodium_malloc(kKeySize))) {
    if (bytes == nullptr) fail("no guarded memory for the key of the secrets");
  }
  ~Key() { sodium_free(bytes); }  // overwrites it
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;

  std::span<std::uint8_t> span() { return {bytes, kKeySize}; }
  // Names the key, and lets nobody write to it any more.
  void finish() {
    std::uint8_t digest[kKeyIdSize];
    // the library takes text as unsigned characters
    crypto_generichash(digest, sizeof digest, reinterpret_cast<const std::uint8_t*>(kKeyIdPurpose.data()),
                       kKeyIdPurpose.size(), bytes, kKeySize);
    char text[2 * kKeyIdSize + 1];
    id = sodium_bin2hex(text, sizeof text, digest, sizeof digest);
    sodium_mprotect_readonly(bytes);
  }

  std::uint8_t* bytes;
  std::string id;
};

Sealer::Sealer(KeySources sources) : sources_(std::move(sources)) {
  if (sodium_init() < 0) fail("libsodium cannot be used");
}

Sealer::~Sealer() = default;

void Sealer::load() {
  if (loaded_) return;
  keys_.clear();
  const auto add = [this](const std::filesystem::path& path) {
    auto key = std::make_shared<Key>();
    if (!read_key(path, key->span())) return;
    key->finish();
    keys_.push_back(std::move(key));
  };
  if (sources_.credential) add(*sources_.credential);
  add(sources_.key_file);
  loaded_ = true;
}

std::shared_ptr<const Sealer::Key> Sealer::find(const std::string& key_id) {
  load();
  for (const auto& key : keys_)
    if (key->id == key_id) return key;
  return nullptr;
}

SealedValue Sealer::seal(const Uuid& secret, const SecretValue& value) {
  load();
  if (keys_.empty()) {
    auto key = std::make_shared<Key>();
    randombytes_buf(key->bytes, kKeySize);
    write_key(sources_.key_file, key->span());
    key->finish();
    keys_.push_back(std::move(key));
  }
  const Key& key = *keys_.front();
  const auto data = associated_data(secret);
  SealedValue sealed{.key_id = key.id,
                     .bytes = std::vector<std::uint8_t>(kNonceSize + value.bytes().size() + kTagSize)};
  randombytes_buf(sealed.bytes.data(), kNonceSize);
  crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.bytes.data() + kNonceSize, nullptr, value.bytes().data(),
                                             value.bytes().size(), data.data(), data.size(), nullptr,
                                             sealed.bytes.data(), key.bytes);
  return sealed;
}

SecretValue Sealer::open(const Uuid& secret, const SealedValue& sealed) {
  const auto key = find(sealed.key_id);
  if (!key) {
    fail(fmt::format("the value of secret {} was sealed with another key than '{}'", secret.to_string(),
                     sources_.credential ? sources_.credential->native() : sources_.key_file.native()));
  }
  const auto broken = [&] {
    fail(fmt::format("the stored value of secret {} was changed or is not its own", secret.to_string()));
  };
  if (sealed.bytes.size() < kNonceSize + kTagSize) broken();
  const auto data = associated_data(secret);
  SecretValue value(sealed.bytes.size() - kNonceSize - kTagSize);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          value.bytes().data(), nullptr, nullptr, sealed.bytes.data() + kNonceSize,
          sealed.bytes.size() - kNonceSize, data.data(), data.size(), sealed.bytes.data(), key->bytes) != 0)
    broken();
  return value;
}

}  // namespace warren::driver::secret
