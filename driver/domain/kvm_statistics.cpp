#include "driver/domain/kvm_statistics.h"

#include <algorithm>
#include <cstring>

#include <linux/kvm.h>
#include <unistd.h>

#include "driver/contract/error.h"

namespace warren::driver::domain {

namespace {

// kvm_stats_desc without its name: the kernel's header gives it another size in C++ than in C.
struct FieldHeader {
  std::uint32_t flags;
  std::int16_t exponent;
  std::uint16_t size;
  std::uint32_t offset;
  std::uint32_t bucket_size;
};
static_assert(sizeof(FieldHeader) == 16);

constexpr std::uint32_t kMostFields = 1024, kLongestName = 256;
constexpr std::uint32_t kLargestOffset = 1 << 20;

bool read_at(const vmm::FileDescriptor& file, void* data, std::size_t size, std::uint64_t offset) {
  return ::pread(file.get(), data, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

}  // namespace

KvmStatistics::KvmStatistics(vmm::FileDescriptor file) : file_(std::move(file)) {
  kvm_stats_header header{};
  if (!read_at(file_, &header, sizeof(header), 0) || header.num_desc > kMostFields ||
      header.name_size > kLongestName || header.desc_offset > kLargestOffset ||
      header.data_offset > kLargestOffset) {
    throw internal_error("the worker's KVM statistics are not");
  }
  data_offset_ = header.data_offset;
  const std::size_t size = sizeof(FieldHeader) + header.name_size;
  std::vector<char> text(size * header.num_desc);
  if (!text.empty() && !read_at(file_, text.data(), text.size(), header.desc_offset))
    throw internal_error("the worker's KVM statistics end early");
  for (std::uint32_t i = 0; i < header.num_desc; ++i) {
    const char* at = text.data() + i * size;
    FieldHeader field{};
    std::memcpy(&field, at, sizeof(field));
    const char* name = at + sizeof(field);
    const std::uint32_t type = field.flags & KVM_STATS_TYPE_MASK;
    if (type > KVM_STATS_TYPE_PEAK || field.size != 1 || field.offset > kLargestOffset ||
        field.offset % 8 != 0)
      continue;
    fields_.push_back({std::string(name, ::strnlen(name, header.name_size)),
                       static_cast<Kind>(type >> KVM_STATS_TYPE_SHIFT),
                       (field.flags & KVM_STATS_UNIT_MASK) == KVM_STATS_UNIT_BOOLEAN, field.offset});
  }
}

std::vector<KvmStatistics::Value> KvmStatistics::read() const {
  std::uint32_t end = 0;
  for (const Field& field : fields_) end = std::max<std::uint32_t>(end, field.offset + 8);
  std::vector<std::uint64_t> data(end / 8);
  if (data.empty() || !read_at(file_, data.data(), data.size() * 8, data_offset_)) return {};
  std::vector<Value> values;
  values.reserve(fields_.size());
  for (const Field& field : fields_)
    values.push_back({field.name, field.kind, field.is_boolean, data[field.offset / 8]});
  return values;
}

}  // namespace warren::driver::domain
