#include "driver/storage/backend_message.h"

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>
#include <fmt/format.h>

#include "vmm-core/control/json_codec.h"

namespace warren::driver::storage {

BOOST_DESCRIBE_ENUM(PoolType, dir, fs, netfs, logical, disk, iscsi, iscsi_direct, scsi, rbd, zfs)
BOOST_DESCRIBE_ENUM(Work, check_pool, start_pool, stop_pool, build_pool, delete_pool, refresh_pool,
                    find_sources, create_volume, clone_volume, delete_volume, refresh_volume, resize_volume,
                    wipe_volume, upload_volume, download_volume)
BOOST_DESCRIBE_STRUCT(Permissions, (), (mode, owner, group, label))
BOOST_DESCRIBE_STRUCT(SourceHost, (), (name, port))
BOOST_DESCRIBE_STRUCT(FreeExtent, (), (start, end))
BOOST_DESCRIBE_STRUCT(SourceDevice, (), (path, part_separator, free_extents))
BOOST_DESCRIBE_STRUCT(SourceAdapter, (), (type, name, parent, managed, wwnn, wwpn))
BOOST_DESCRIBE_STRUCT(SourceAuthentication, (), (type, username, secret_uuid, secret_usage))
BOOST_DESCRIBE_STRUCT(PoolSource, (),
                      (hosts, devices, directory, adapter, name, initiator, format, authentication,
                       protocol_version, vendor, product))
BOOST_DESCRIBE_STRUCT(NamedValue, (), (name, value))
// Without the UUID, which is the daemon's alone.
BOOST_DESCRIBE_STRUCT(PoolDefinition, (),
                      (type, name, capacity, allocation, available, cow, source, target_path, permissions,
                       refresh_allocation, mount_options, config_options))
BOOST_DESCRIBE_STRUCT(Timestamp, (), (seconds, nanoseconds))
BOOST_DESCRIBE_STRUCT(Timestamps, (), (access, modification, change, birth))
BOOST_DESCRIBE_STRUCT(Image, (),
                      (path, format, permissions, timestamps, encryption, encryption_secret, compatibility,
                       no_cow, cluster_bytes, features))
BOOST_DESCRIBE_STRUCT(VolumeExtent, (), (device, start, end))
BOOST_DESCRIBE_STRUCT(VolumeDefinition, (),
                      (type, name, key, extents, capacity, allocation, physical, allocation_given, target,
                       backing))
BOOST_DESCRIBE_STRUCT(Request, (),
                      (work, pool, volume, original_pool, original, flags, offset, length, capacity,
                       algorithm, specification, secret, formats))
BOOST_DESCRIBE_ENUM(ReplyKind, volume, pool, source, progress, format, done, failed)
BOOST_DESCRIBE_STRUCT(Reply, (), (kind, volume, pool, source, number, code, text, path))

namespace {

template <typename Message>
std::string encode(const Message& message) {
  std::string content = boost::json::serialize(vmm::control::to_json(message));
  std::string frame(4, '\0');
  for (std::size_t i = 0; i < 4; ++i) frame[i] = static_cast<char>(content.size() >> (8 * i) & 0xff);
  return frame + content;
}

template <typename Message>
Message decode(std::string_view content) {
  try {
    boost::json::parse_options options;
    options.max_depth = 16;
    boost::json::error_code failed;
    boost::json::value json = boost::json::parse(content, failed, {}, options);
    if (failed) throw vmm::Error(std::errc::invalid_argument, failed.message());
    return vmm::control::from_json<Message>(json, "");
  } catch (const vmm::Error& error) {
    throw Error(VIR_ERR_INTERNAL_ERROR, fmt::format("message of a storage helper: {}", error.what()),
                VIR_FROM_STORAGE);
  }
}

}  // namespace

std::string encode_message(const Request& request) {
  return encode(request);
}
std::string encode_message(const Reply& reply) {
  return encode(reply);
}
Request decode_request(std::string_view content) {
  return decode<Request>(content);
}
Reply decode_reply(std::string_view content) {
  return decode<Reply>(content);
}

void FrameReader::append(std::string_view bytes) {
  if (at_ > 0) bytes_.erase(0, std::exchange(at_, 0));
  bytes_ += bytes;
}

std::optional<std::string_view> FrameReader::next() {
  const std::string_view rest = std::string_view(bytes_).substr(at_);
  if (rest.size() < 4) return std::nullopt;
  std::size_t length = 0;
  for (std::size_t i = 0; i < 4; ++i)
    length |= static_cast<std::size_t>(static_cast<unsigned char>(rest[i])) << (8 * i);
  if (length > most_) {
    throw Error(VIR_ERR_INTERNAL_ERROR,
                fmt::format("a storage helper's message of {} bytes is longer than any", length),
                VIR_FROM_STORAGE);
  }
  if (rest.size() - 4 < length) return std::nullopt;
  at_ += 4 + length;
  return rest.substr(4, length);
}

}  // namespace warren::driver::storage
