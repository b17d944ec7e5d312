// Tests' network name spaces: one of the test's own, and others as hosts at the far end of veth pairs.
#pragma once

#include <array>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>

#include <boost/json.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include "driver/config/ip_address.h"
#include "driver/contract/error.h"
#include "driver/link/address.h"
#include "vmm-core/os/file_descriptor.h"

namespace warren::driver::link {

// What a shell command says; throws unless it succeeds.
inline std::string said(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "re");
  if (pipe == nullptr) throw std::runtime_error("no shell");
  std::string text;
  std::array<char, 4096> bytes;
  while (const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), pipe))
    text.append(bytes.data(), count);
  if (::pclose(pipe) != 0) throw std::runtime_error(command + ": " + text);
  return text;
}
inline bool succeeds(const std::string& command) {
  try {
    said(command);
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}
inline boost::json::value json_of(const std::string& command) {
  return boost::json::parse(said(command));
}
// "ip -d -j link show dev NAME"
inline boost::json::object link_json(const std::string& name) {
  return json_of("ip -d -j link show dev " + name).as_array().at(0).as_object();
}

inline config::IpAddress ip(const char* text) {
  return config::parse_ip_address(text).value();
}

template <class Call>
std::string refusal(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.message();
  }
  ADD_FAILURE() << "it was not refused";
  return {};
}

// Another host: what run() does happens in its name space.
class Host {
 public:
  Host() {
    std::thread([this] {
      if (::unshare(CLONE_NEWNET) == 0)
        space_ = vmm::FileDescriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    }).join();
    if (!space_) throw std::runtime_error("no network name space: this needs root");
    run([] { said("ip link set lo up"); });
  }
  void run(const std::function<void()>& work) const {
    std::exception_ptr failure;
    std::thread([&] {
      try {
        if (::setns(space_.get(), CLONE_NEWNET) != 0) throw std::runtime_error("setns");
        work();
      } catch (...) {
        failure = std::current_exception();
      }
    }).join();
    if (failure) std::rethrow_exception(failure);
  }
  // A veth pair: `near` with us, eth0 there, with an address.
  void connect(const std::string& near, const std::string& address, const std::string& mac = "") {
    said(fmt::format("ip link add {} type veth peer name eth0 {} netns /proc/{}/fd/{}", near,
                     mac.empty() ? "" : "address " + mac, ::getpid(), space_.get()));
    said(fmt::format("ip link set {} up", near));
    run([&] {
      said("ip link set eth0 up");
      said(fmt::format("ip address add {} dev eth0 nodad", address));
    });
  }
  bool reaches(const std::string& address) const {
    bool it_does = false;
    // Twice: the first may come while an earlier question for the address is still open.
    for (int attempt = 0; attempt < 2 && !it_does; ++attempt)
      run([&] { it_does = succeeds(fmt::format("ping -c 1 -W 1 {}", address)); });
    return it_does;
  }

 private:
  vmm::FileDescriptor space_;
};

// A network name space of its own: nothing of the host's is touched.
class LinkTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "this needs root";
    said("ip link set lo up");
  }
};

}  // namespace warren::driver::link
