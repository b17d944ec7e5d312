// For tests: QEMU's own tools on this machine, run to their end, and one qemu-io that is asked again and
// again, since starting it costs more than most of what it is asked for.
#pragma once

#include <array>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace warren::vmm::block::qcow2 {

// A child process whose output, both streams, is read here.
class PeerProgram {
 public:
  explicit PeerProgram(const std::vector<std::string>& words) {
    std::vector<char*> arguments;
    for (const std::string& word : words)
      arguments.push_back(const_cast<char*>(word.c_str()));  // argv is not const
    arguments.push_back(nullptr);
    int output[2], input[2];
    if (::pipe2(output, O_CLOEXEC) != 0 || ::pipe2(input, O_CLOEXEC) != 0) return;
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, input[0], 0);
    ::posix_spawn_file_actions_adddup2(&actions, output[1], 1);
    ::posix_spawn_file_actions_adddup2(&actions, output[1], 2);
    if (::posix_spawnp(&child_, arguments[0], &actions, nullptr, arguments.data(), environ) != 0) child_ = -1;
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(output[1]);
    ::close(input[0]);
    output_ = output[0];
    input_ = input[1];
  }
  PeerProgram(const PeerProgram&) = delete;
  PeerProgram& operator=(const PeerProgram&) = delete;
  ~PeerProgram() { wait(); }

  void write(const std::string& text) {
    // A child that has ended is seen by what it says.
    [[maybe_unused]] const ssize_t written = ::write(input_, text.data(), text.size());
  }
  // More of what it says; false at the end.
  bool read(std::string& said) {
    std::array<char, 4096> part{};
    const ssize_t got = ::read(output_, part.data(), part.size());
    if (got <= 0) return false;
    said.append(part.data(), static_cast<std::size_t>(got));
    return true;
  }
  void close_input() {
    if (input_ >= 0) ::close(input_);
    input_ = -1;
  }
  // Its exit status, or -1.
  int wait() {
    close_input();
    if (output_ >= 0) ::close(output_);
    output_ = -1;
    int status = -1;
    if (child_ > 0 && ::waitpid(child_, &status, 0) != child_) status = -1;
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t child_ = -1;
  int output_ = -1, input_ = -1;
};

// Runs a program of the peer; its exit status, and what it said.
inline int run_peer(const std::vector<std::string>& words, std::string& said) {
  PeerProgram program(words);
  program.close_input();
  said.clear();
  while (program.read(said)) continue;
  return program.wait();
}

// qemu-io, which opens one image after the other.
class PeerShell {
 public:
  PeerShell() {
    // What is written to one that was killed is an error, and no end of this process.
    std::signal(SIGPIPE, SIG_IGN);
  }
  // Each command once the one before it is done. What they said, which is nothing when all went well.
  std::string run(const std::vector<std::string>& commands) {
    std::string said;
    if (!program_) {
      program_ = std::make_unique<PeerProgram>(std::vector<std::string>{"qemu-io"});
      if (!wait_for_prompt(said)) return "qemu-io does not start: " + said;
    }
    std::string complaints;
    for (const std::string& command : commands) {
      program_->write(command + "\n");
      said.clear();
      const bool alive = wait_for_prompt(said);
      if (!said.empty() || !alive) complaints += command + ": " + said + (alive ? "" : " (ended)") + "\n";
      if (!alive) break;
    }
    return complaints;
  }
  // It dies with whatever it has open.
  void kill() {
    if (!program_) return;
    program_->write("sigraise 9\n");
    std::string said;
    while (program_->read(said)) continue;
    program_.reset();
  }

 private:
  bool wait_for_prompt(std::string& said) {
    static const std::string kPrompt = "qemu-io> ";
    while (!said.ends_with(kPrompt)) {
      if (program_->read(said)) continue;
      program_.reset();
      return false;
    }
    said.resize(said.size() - kPrompt.size());
    return true;
  }

  std::unique_ptr<PeerProgram> program_;
};

}  // namespace warren::vmm::block::qcow2
