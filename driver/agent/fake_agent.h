// A guest agent on a unix socket, for tests: answers as it is told to.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <unistd.h>

namespace warren::driver::agent {

// Lives on the loop of what it is tested with.
class FakeAgent {
 public:
  using Stream = boost::asio::local::stream_protocol;

  FakeAgent(boost::asio::io_context& loop, std::string path)
      : path_(std::move(path)), acceptor_(loop), peer_(loop) {
    ::unlink(path_.c_str());
    acceptor_.open();
    acceptor_.bind(Stream::endpoint(path_));
    acceptor_.listen();
    accept();
  }
  ~FakeAgent() { ::unlink(path_.c_str()); }

  // What it answers to a command; "" is no answer. Those not listed are not known to it.
  std::map<std::string, std::string> replies;
  bool answers_synchronization = true;
  std::int64_t wrong_id = 0;                     // added to the id
  std::string before_synchronization;            // sent ahead of its reply
  std::vector<std::string> requests;             // lines but for synchronizations
  std::function<void(const std::string&)> seen;  // called for each of them before it is answered
  int connections = 0;

  void send(std::string text) {
    boost::system::error_code ignored;
    boost::asio::write(peer_, boost::asio::buffer(text), ignored);
  }
  void hang_up() {
    boost::system::error_code ignored;
    peer_.close(ignored);
    input_.clear();
  }

 private:
  void accept() {
    acceptor_.async_accept([this](boost::system::error_code failed, Stream::socket peer) {
      if (failed) return;
      ++connections;
      peer_ = std::move(peer);
      input_.clear();
      read();
      accept();
    });
  }
  void read() {
    peer_.async_read_some(boost::asio::buffer(buffer_),
                          [this](boost::system::error_code failed, std::size_t size) {
                            if (failed) return;
                            input_.append(buffer_, size);
                            for (std::size_t end; (end = input_.find('\n')) != std::string::npos;) {
                              std::string line = input_.substr(0, end);
                              input_.erase(0, end + 1);
                              answer(line);
                            }
                            if (peer_.is_open()) read();
                          });
  }
  void answer(std::string line) {
    if (!line.empty() && line.front() == '\xff') line.erase(0, 1);
    const std::string sync = "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":";
    if (line.starts_with(sync)) {
      if (!answers_synchronization) return;
      send(before_synchronization +
           "\xff{\"return\": " + std::to_string(std::stoll(line.substr(sync.size())) + wrong_id) + "}\n");
      return;
    }
    requests.push_back(line);
    if (seen) seen(line);
    const std::string key = "{\"execute\":\"";
    std::string name = line.substr(key.size(), line.find('"', key.size()) - key.size());
    if (auto found = replies.find(name); found != replies.end()) {
      if (!found->second.empty()) send(found->second + "\n");
      return;
    }
    send("{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command " + name +
         " has not been found\"}}\n");
  }

  std::string path_;
  Stream::acceptor acceptor_;
  Stream::socket peer_;
  char buffer_[4096];
  std::string input_;
};

}  // namespace warren::driver::agent
