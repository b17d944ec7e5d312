// Interfaces as ifupdown(8) is told to make them: files interfaces.d/warren-<name> (interfaces(5)), and the
// programs that read them.
//
// A file has the interface's XML in comments, so that what was defined is what is read back. Blocks; one
// thread at a time. Throws Error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "driver/interface/driver.h"
#include "driver/interface/interface_definition.h"

namespace warren::driver::interface {

// The lines of interfaces(5) for it. Throws Error (VIR_ERR_CONFIG_UNSUPPORTED) for what they cannot say.
std::string ifupdown_text(const InterfaceDefinition& definition);

class Ifupdown {
 public:
  explicit Ifupdown(InterfaceSettings settings) : settings_(std::move(settings)) {}

  // Throws VIR_ERR_OPERATION_UNSUPPORTED that names what this host lacks.
  void require() const;

  // Of our own files, by name; a file that is broken is as if it were not there.
  std::vector<InterfaceDefinition> list() const;
  std::optional<InterfaceDefinition> find(const std::string& name) const;
  // Refuses an interface that somebody else's file configures.
  void define(const InterfaceDefinition& definition) const;
  void undefine(const std::string& name) const;

  void start(const std::string& name) const;
  void stop(const std::string& name) const;

  // A change: our files as they are are kept until it is committed, and come back when it is rolled back.
  void begin_change() const;
  void commit_change() const;
  void roll_back_change() const;

 private:
  // Which files of the directory ifupdown reads: any, and whatever their names.
  struct Reading {
    bool some = false, all = false;
  };
  Reading reading() const;
  // Throws VIR_ERR_CONFIG_UNSUPPORTED for an interface whose file would not be read.
  void require_read(const std::string& name) const;
  std::filesystem::path file_of(const std::string& name) const;
  std::optional<std::filesystem::path> others_file(const std::string& name) const;
  void run(const std::string& program, const std::string& name) const;
  void require_change() const;

  InterfaceSettings settings_;
};

}  // namespace warren::driver::interface
