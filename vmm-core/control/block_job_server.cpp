#include "vmm-core/control/block_job_server.h"

#include <utility>

#include "vmm-core/control/json_codec.h"
#include "vmm-core/os/error.h"

namespace warren::vmm::control {
namespace {

constexpr std::uint32_t kMaximumPlace = 199;  // in a chain (vmm-core/block/chain.h)
constexpr std::size_t kMaximumName = 1023;    // bytes that a qcow2 header has for it

[[noreturn]] void refuse(const std::string& member, const char* why) {
  throw Error(std::errc::invalid_argument, member + ": " + why);
}

void validate_image(const BackingSpecification& image, const std::string& member) {
  if (image.descriptor.empty()) refuse(member, "without a descriptor");
  const std::uint32_t alignment = image.direct_alignment;
  if (alignment < 512 || alignment > 32768 || (alignment & (alignment - 1)) != 0)
    refuse(member + ".direct_alignment", "not a power of two, 512 to 32768");
  if (!image.data_descriptor.empty() && image.format != ImageFormat::qcow2)
    refuse(member + ".data_descriptor", "of an image that is not qcow2");
  if (!image.nbd) return;
  if (const char* wrong = defect_of(*image.nbd)) refuse(member + ".nbd.export_name", wrong);
  if (image.format != ImageFormat::raw || image.direct)
    refuse(member + ".nbd", "not of a raw image without O_DIRECT");
}

void validate_name(const BackingName& name) {
  if (name.file.size() > kMaximumName) refuse("backing.file", "longer than 1023 bytes");
  if (name.file.find('\0') != std::string::npos) refuse("backing.file", "holds a NUL");
  if (name.file.empty() != name.format.empty())
    refuse("backing", "a file without its format, or the reverse");
  if (!name.file.empty() && name.format != "raw" && name.format != "qcow2")
    refuse("backing.format", "neither raw nor qcow2");
}

void add_names(const BackingSpecification& image, std::vector<std::string>& names) {
  names.push_back(image.descriptor);
  if (!image.data_descriptor.empty()) names.push_back(image.data_descriptor);
}

// What was delivered for a job that is refused is closed with it.
template <typename Command>
Command take_command(const boost::json::value& arguments, DescriptorSet& delivered,
                     DescriptorSet& descriptors) {
  descriptors = std::exchange(delivered, {});
  auto command = from_json<Command>(arguments, "arguments");
  validate(command);
  for (const auto& name : descriptor_names(command)) {
    if (!descriptors.contains(name))
      throw Error(std::errc::bad_file_descriptor, "descriptor '" + name + "' was not delivered");
  }
  return command;
}

}  // namespace

void validate(const StartBlockCommit& command) {
  if (command.base > kMaximumPlace || command.base <= command.top)
    refuse("base", "not below top, or beyond 199");
  validate_image(command.base_image, "base_image");
  if (command.overlay_image.has_value() != (command.top > 1))
    refuse("overlay_image", "is for a top of 2 or more, and needed there");
  if (command.overlay_image) validate_image(*command.overlay_image, "overlay_image");
  if (command.backing.has_value() != (command.top > 0))
    refuse("backing", "is for a top of 1 or more, and needed there");
  if (!command.backing) return;
  validate_name(*command.backing);
  if (command.backing->file.empty())
    refuse("backing.file", "empty, but the image above is backed by the base");
}

void validate(const StartBlockPull& command) {
  if (command.base && (*command.base < 2 || *command.base > kMaximumPlace)) refuse("base", "not 2 to 199");
  validate_name(command.backing);
  if (command.base.has_value() == command.backing.file.empty())
    refuse("backing", "is for a pull down to a base, and needed there");
}

void validate(const StartBlockCopy& command) {
  validate_image(command.target, "target");
  if (!command.make) return;
  validate_name(command.make->backing);
  if (!command.make->backing.file.empty() && command.target.format != ImageFormat::qcow2)
    refuse("make.backing", "of an image that is not qcow2");
  if (!command.target.data_descriptor.empty()) refuse("make", "of an image with external data");
}

std::vector<std::string> descriptor_names(const StartBlockCommit& command) {
  std::vector<std::string> names;
  add_names(command.base_image, names);
  if (command.overlay_image) add_names(*command.overlay_image, names);
  return names;
}

std::vector<std::string> descriptor_names(const StartBlockPull&) {
  return {};
}

std::vector<std::string> descriptor_names(const StartBlockCopy& command) {
  std::vector<std::string> names;
  add_names(command.target, names);
  return names;
}

std::optional<boost::json::value> serve_block_job_command(BlockJobCommands& commands, std::string_view name,
                                                          const boost::json::value& arguments,
                                                          DescriptorSet& delivered) {
  DescriptorSet descriptors;
  if (name == "start_block_commit") {
    const auto command = take_command<StartBlockCommit>(arguments, delivered, descriptors);
    commands.start_block_commit(command, std::move(descriptors));
  } else if (name == "start_block_pull") {
    commands.start_block_pull(take_command<StartBlockPull>(arguments, delivered, descriptors));
  } else if (name == "start_block_copy") {
    const auto command = take_command<StartBlockCopy>(arguments, delivered, descriptors);
    commands.start_block_copy(command, std::move(descriptors));
  } else if (name == "set_block_job_speed") {
    commands.set_block_job_speed(from_json<SetBlockJobSpeed>(arguments, "arguments"));
  } else if (name == "complete_block_job") {
    commands.complete_block_job(from_json<CompleteBlockJob>(arguments, "arguments"));
  } else if (name == "cancel_block_job") {
    commands.cancel_block_job(from_json<BlockJobName>(arguments, "arguments"));
  } else if (name == "dismiss_block_job") {
    commands.dismiss_block_job(from_json<BlockJobName>(arguments, "arguments"));
  } else if (name == "block_jobs") {
    return to_json(commands.block_jobs());
  } else {
    return std::nullopt;
  }
  return boost::json::object();
}

}  // namespace warren::vmm::control
