#include "driver/interface/ifupdown.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <sstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "driver/contract/error.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::interface {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "warren-";
constexpr std::string_view kXmlMark = "#xml ";
constexpr std::chrono::seconds kDeadline{120};  // of a DHCP server that does not answer, and some
constexpr std::size_t kMostWords = 2048;

Error failure(virErrorNumber code, std::string detail) {
  return {code, std::move(detail), VIR_FROM_INTERFACE};
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

void sync_directory(const fs::path& directory) {
  const vmm::FileDescriptor handle(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (handle) (void)::fsync(handle.get());
}

// Whole or not at all; ifupdown does not read the name with a dot.
void write_file(const fs::path& path, std::string_view text) {
  const fs::path draft = path.parent_path() / ("." + path.filename().string() + ".new");
  {
    const vmm::FileDescriptor file(
        ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!file) throw system_error(errno, fmt::format("cannot write {}", draft.string()));
    while (!text.empty()) {
      const ssize_t count = ::write(file.get(), text.data(), text.size());
      if (count < 0) throw system_error(errno, fmt::format("cannot write {}", draft.string()));
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    if (::fsync(file.get()) != 0) throw system_error(errno, fmt::format("cannot write {}", draft.string()));
  }
  if (::rename(draft.c_str(), path.c_str()) != 0)
    throw system_error(errno, fmt::format("cannot write {}", path.string()));
  sync_directory(path.parent_path());
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(std::move(word));
  return words;
}

template <class See>
void each_line(const fs::path& path, See&& see) {
  std::istringstream text(read_file(path));
  for (std::string line; std::getline(text, line);) see(line);
}

std::optional<InterfaceDefinition> read_definition(const fs::path& path) {
  std::string xml;
  each_line(path, [&](const std::string& line) {
    if (line.starts_with(kXmlMark)) xml += line.substr(kXmlMark.size()) + "\n";
  });
  try {
    return parse_interface(xml, /*validate=*/false);
  } catch (const Error&) {
    return std::nullopt;  // edited by hand: ifupdown reads it, and nobody is told what it was made from
  }
}

std::string commented(const std::string& xml) {
  std::string text;
  std::istringstream lines(xml);
  for (std::string line; std::getline(lines, line);) text += fmt::format("{}{}\n", kXmlMark, line);
  return text;
}

// Our files in a directory, by name.
std::map<std::string, std::string> files_in(const fs::path& directory) {
  std::map<std::string, std::string> files;
  std::error_code missing;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, missing)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix) && entry.is_regular_file()) files[name] = read_file(entry.path());
  }
  return files;
}

void remove_file(const fs::path& path) {
  std::error_code failed;
  fs::remove(path, failed);
  if (failed) throw system_error(failed.value(), fmt::format("cannot remove {}", path.string()));
  sync_directory(path.parent_path());
}

// interfaces(5), source-directory: it passes over files of other names.
bool is_read_from_directory(const std::string& file) {
  return std::ranges::all_of(file, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

}  // namespace

void Ifupdown::require() const {
  const auto lacking = [](std::string_view what) {
    return failure(
        VIR_ERR_OPERATION_UNSUPPORTED,
        fmt::format("interfaces of this host cannot be changed: {}; Warren changes them on hosts with "
                    "ifupdown",
                    what));
  };
  for (const char* program : {"ifup", "ifdown"})
    if (!settings_.run && find_tool(program).empty())
      throw lacking(fmt::format("there is no {} (apt install ifupdown)", program));
  if (!fs::exists(settings_.configuration))
    throw lacking(fmt::format("there is no {}", settings_.configuration.string()));
  if (!fs::is_directory(settings_.directory))
    throw lacking(fmt::format("there is no directory {}", settings_.directory.string()));
  if (!reading().some)
    throw lacking(fmt::format("{} lacks 'source {}/*'", settings_.configuration.string(),
                              settings_.directory.string()));
}

Ifupdown::Reading Ifupdown::reading() const {
  Reading reading;
  const std::string wanted = settings_.directory.filename().string();
  each_line(settings_.configuration, [&](const std::string& line) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() != 2) return;
    const fs::path what = words[1];
    const bool all =
        words[0] == "source" && what.filename() == "*" && what.parent_path().filename() == wanted;
    const bool directory = words[0] == "source-directory" && what.filename() == wanted;
    reading.some = reading.some || all || directory;
    reading.all = reading.all || all;
  });
  return reading;
}

void Ifupdown::require_read(const std::string& name) const {
  const std::string file = file_of(name).filename().string();
  if (reading().all || is_read_from_directory(file)) return;
  throw failure(
      VIR_ERR_CONFIG_UNSUPPORTED,
      fmt::format("interface {}: by 'source-directory' ifupdown reads no file called {}, for only letters, "
                  "digits, '_' and '-' may be in its name; add 'source {}/*' to {}",
                  name, file, settings_.directory.string(), settings_.configuration.string()));
}

fs::path Ifupdown::file_of(const std::string& name) const {
  return settings_.directory / (std::string(kPrefix) + name);
}

std::vector<InterfaceDefinition> Ifupdown::list() const {
  std::vector<InterfaceDefinition> definitions;
  for (const auto& [name, text] : files_in(settings_.directory))
    if (auto definition = read_definition(settings_.directory / name);
        definition && name == std::string(kPrefix) + definition->name)
      definitions.push_back(std::move(*definition));
  return definitions;
}

std::optional<InterfaceDefinition> Ifupdown::find(const std::string& name) const {
  for (InterfaceDefinition& definition : list())
    if (definition.name == name) return std::move(definition);
  return std::nullopt;
}

std::optional<fs::path> Ifupdown::others_file(const std::string& name) const {
  std::vector<fs::path> paths{settings_.configuration};
  std::error_code missing;
  for (const fs::directory_entry& entry : fs::directory_iterator(settings_.directory, missing)) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with(kPrefix) && !file.starts_with('.') && entry.is_regular_file())
      paths.push_back(entry.path());
  }
  for (const fs::path& path : paths) {
    bool is_there = false;
    each_line(path, [&](const std::string& line) {
      const std::vector<std::string> words = words_of(line);
      is_there = is_there || (words.size() >= 2 && words[0] == "iface" && words[1] == name);
    });
    if (is_there) return path;
  }
  return std::nullopt;
}

void Ifupdown::define(const InterfaceDefinition& definition) const {
  require();
  require_read(definition.name);
  if (const auto path = others_file(definition.name); path)
    throw failure(
        VIR_ERR_OPERATION_INVALID,
        fmt::format("interface {} is configured in {} already, which is not Warren's; take it out there",
                    definition.name, path->string()));
  write_file(
      file_of(definition.name),
      fmt::format("# Of Warren: virsh iface-edit {} changes it, and reads what it says after '{}'.\n{}{}",
                  definition.name, kXmlMark.substr(0, kXmlMark.size() - 1),
                  commented(format_interface(definition)), ifupdown_text(definition)));
}

void Ifupdown::undefine(const std::string& name) const {
  require();
  if (!find(name)) {
    const auto path = others_file(name);
    throw failure(
        VIR_ERR_OPERATION_INVALID,
        path ? fmt::format("interface {} is configured in {}, which is not Warren's; take it out there", name,
                           path->string())
             : fmt::format("interface {} was not defined: the host's kernel has it", name));
  }
  remove_file(file_of(name));
}

void Ifupdown::run(const std::string& program, const std::string& name) const {
  require();
  if (!find(name) && !others_file(name))
    throw failure(
        VIR_ERR_OPERATION_INVALID,
        fmt::format("interface {} is not defined: ifupdown does not know how to start or stop it", name));
  const Tool tool{.name = program, .arguments = {name}, .deadline = kDeadline};
  ToolResult result = settings_.run ? settings_.run(tool) : run_tool(tool);
  if (result.status == 0) return;
  std::string said = result.errors.empty() ? std::move(result.output) : std::move(result.errors);
  said.resize(std::min(said.size(), kMostWords));
  for (char& c : said)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = ' ';
  throw failure(VIR_ERR_OPERATION_FAILED,
                fmt::format("interface {}: {} ended with status {}: {}", name, program, result.status, said));
}

void Ifupdown::start(const std::string& name) const {
  run("ifup", name);
}

void Ifupdown::stop(const std::string& name) const {
  run("ifdown", name);
}

void Ifupdown::begin_change() const {
  require();
  if (fs::exists(settings_.change))
    throw failure(
        VIR_ERR_OPERATION_INVALID,
        "a change of interfaces has begun already; end it first (virsh iface-commit or iface-rollback)");
  // Under another name until it is whole: what a crash leaves is no change.
  fs::path draft = settings_.change;
  draft += ".new";
  std::error_code failed;
  fs::remove_all(draft, failed);
  if (!fs::create_directories(draft, failed))
    throw system_error(failed.value(), fmt::format("cannot make {}", draft.string()));
  for (const auto& [name, text] : files_in(settings_.directory)) write_file(draft / name, text);
  fs::rename(draft, settings_.change, failed);
  if (failed) throw system_error(failed.value(), fmt::format("cannot make {}", settings_.change.string()));
  sync_directory(settings_.change.parent_path());
}

void Ifupdown::require_change() const {
  require();
  if (!fs::exists(settings_.change))
    throw failure(VIR_ERR_OPERATION_INVALID, "no change of interfaces has begun; see virsh iface-begin");
}

void Ifupdown::commit_change() const {
  require_change();
  std::error_code failed;
  fs::remove_all(settings_.change, failed);
  if (failed) throw system_error(failed.value(), fmt::format("cannot remove {}", settings_.change.string()));
}

void Ifupdown::roll_back_change() const {
  require_change();
  const auto kept = files_in(settings_.change);
  const auto now = files_in(settings_.directory);
  const auto name_of = [](const std::string& file) { return file.substr(kPrefix.size()); };
  // An interface is stopped by what it was started with; one that was not started is no failure.
  const auto attempt = [&](void (Ifupdown::*act)(const std::string&) const, const std::string& name) {
    try {
      (this->*act)(name);
    } catch (const Error&) {
    }
  };
  for (const auto& [file, text] : now) {
    const auto before = kept.find(file);
    if (before != kept.end() && before->second == text) continue;
    attempt(&Ifupdown::stop, name_of(file));
    if (before == kept.end()) remove_file(settings_.directory / file);
  }
  for (const auto& [file, text] : kept) {
    const auto changed = now.find(file);
    if (changed != now.end() && changed->second == text) continue;
    write_file(settings_.directory / file, text);
    const auto definition = read_definition(settings_.directory / file);
    if (definition && definition->start.value_or(StartMode::none) != StartMode::none)
      attempt(&Ifupdown::start, name_of(file));
  }
  commit_change();
}

}  // namespace warren::driver::interface
