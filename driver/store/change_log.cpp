#include "driver/store/change_log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace warren::driver::store {

namespace {

constexpr std::array<char, 8> kMagic = {'W', 'a', 'r', 'r', 'e', 'n', 'L', '1'};

// Less than a sector: it is written whole or not at all.
struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint64_t generation = 0;
  std::array<char, 64> boot{};  // during which it was reset
  std::uint64_t checksum = 0;   // of what is before it
};
static_assert(sizeof(Header) == 88);

struct RecordHeader {
  std::uint64_t generation = 0;
  std::uint32_t kind = 0;
  std::uint32_t name_bytes = 0;
  std::uint64_t text_bytes = 0;
  std::uint64_t checksum = 0;  // of what is before it, the name and the text, which follow
};
static_assert(sizeof(RecordHeader) == 32);

constexpr std::uint64_t kSeed = 0xcbf2'9ce4'8422'2325;

// FNV-1a: against torn writes, not against anybody.
std::uint64_t checksum(std::string_view bytes, std::uint64_t seed = kSeed) noexcept {
  for (const char byte : bytes) seed = (seed ^ static_cast<unsigned char>(byte)) * 0x100'0000'01b3;
  return seed;
}

template <typename T>
std::string_view bytes_of(const T& object, std::size_t size = sizeof(T)) noexcept {
  // Plain bytes on their way to or from a file.
  return {reinterpret_cast<const char*>(&object), size};
}

std::size_t record_bytes(const Change& change) noexcept {
  return sizeof(RecordHeader) + change.name.size() + change.text.size();
}

std::string record_of(const Change& change, std::uint64_t generation) {
  RecordHeader header{.generation = generation,
                      .kind = static_cast<std::uint32_t>(change.kind),
                      .name_bytes = static_cast<std::uint32_t>(change.name.size()),
                      .text_bytes = change.text.size()};
  header.checksum = checksum(
      change.text, checksum(change.name, checksum(bytes_of(header, offsetof(RecordHeader, checksum)))));
  std::string record(bytes_of(header));
  record += change.name;
  record += change.text;
  return record;
}

// The record at the front of `rest`, which it is taken from; false where there is none.
bool take_record(std::string_view& rest, std::uint64_t generation, Change& change) {
  RecordHeader header;
  if (rest.size() < sizeof(header)) return false;
  std::memcpy(&header, rest.data(), sizeof(header));
  const std::string_view body = rest.substr(sizeof(header));
  if (header.generation != generation || header.name_bytes > body.size() ||
      header.text_bytes > body.size() - header.name_bytes)
    return false;
  const std::string_view name = body.substr(0, header.name_bytes);
  const std::string_view text = body.substr(header.name_bytes, header.text_bytes);
  if (header.checksum !=
      checksum(text, checksum(name, checksum(bytes_of(header, offsetof(RecordHeader, checksum))))))
    return false;
  const auto kind = static_cast<Change::Kind>(header.kind);
  if (kind != Change::Kind::write && kind != Change::Kind::remove) return false;
  change = {kind, std::string(name), std::string(text)};
  rest = body.substr(name.size() + text.size());
  return true;
}

}  // namespace

ChangeLog::~ChangeLog() {
  if (file_ >= 0) operations_.close(file_);
}

int ChangeLog::read(std::vector<Change>& lost) {
  file_ = operations_.open_update(directory_, kFile);
  if (file_ < 0) return file_ == -ENOENT ? 0 : file_;
  std::string content(kBytes, '\0');
  std::size_t size = 0;
  while (size < content.size()) {
    const std::ptrdiff_t got = operations_.read(file_, content.data() + size, content.size() - size);
    if (got == -EINTR) continue;
    if (got < 0) return static_cast<int>(got);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  content.resize(size);
  Header header;
  if (size < kFirstRecord) return 0;
  std::memcpy(&header, content.data(), sizeof(header));
  // One that was interrupted while it was made or reset has nothing in it.
  if (header.magic != kMagic || header.checksum != checksum(bytes_of(header, offsetof(Header, checksum))))
    return 0;
  generation_ = header.generation;
  std::string_view rest = std::string_view(content).substr(kFirstRecord);
  for (Change change; take_record(rest, generation_, change);) lost.push_back(std::move(change));
  end_ = content.size() - rest.size();
  std::array<char, 64> boot{};
  operations_.boot_identity().copy(boot.data(), boot.size());
  if (header.boot == boot) lost.clear();
  return 0;
}

int ChangeLog::make_file() {
  file_ = operations_.create(directory_, kFile);
  if (file_ < 0) return file_;
  int result = write_at(std::string(kBytes, '\0'), 0);
  if (result == 0) result = operations_.sync(file_);
  if (result == 0) result = operations_.sync(directory_);
  if (result == 0) return 0;
  operations_.close(std::exchange(file_, -1));
  operations_.unlink(directory_, kFile);
  return result;
}

int ChangeLog::write_at(const std::string& bytes, std::size_t offset) {
  for (std::size_t done = 0; done < bytes.size();) {
    const std::ptrdiff_t written =
        operations_.write_at(file_, bytes.data() + done, bytes.size() - done, offset + done);
    if (written == -EINTR || written == -EAGAIN) continue;
    if (written <= 0) return written < 0 ? static_cast<int>(written) : -ENOSPC;
    done += static_cast<std::size_t>(written);
  }
  return 0;
}

int ChangeLog::reset() {
  in_use_ = false;
  if (file_ < 0) {
    if (const int made = make_file(); made < 0) return made;
  }
  Header header{.generation = generation_ + 1};
  operations_.boot_identity().copy(header.boot.data(), header.boot.size());
  header.checksum = checksum(bytes_of(header, offsetof(Header, checksum)));
  int result = write_at(std::string(bytes_of(header)), 0);
  if (result == 0) result = operations_.sync_data(file_);
  if (result < 0) return result;
  ++generation_;
  end_ = kFirstRecord;
  in_use_ = true;
  return 0;
}

bool ChangeLog::has_room(std::span<const Change* const> changes) const noexcept {
  std::size_t room = kBytes - end_;
  for (const Change* change : changes) {
    if (record_bytes(*change) > room) return false;
    room -= record_bytes(*change);
  }
  return true;
}

int ChangeLog::append(std::span<const Change* const> changes) {
  std::string records;
  for (const Change* change : changes) records += record_of(*change, generation_);
  int result = write_at(records, end_);
  if (result == 0) result = operations_.sync_data(file_);
  if (result < 0) {
    // Whatever of it is on the disk: nobody may take it for good. The next append is written over it, but the
    // kernel may have given up on the file.
    in_use_ = false;
    return result;
  }
  end_ += records.size();
  return 0;
}

}  // namespace warren::driver::store
