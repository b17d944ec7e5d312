// The guest agent's part of the fake hypervisor: one answer to each call, and what was asked last.
#pragma once

#include <string>
#include <vector>

#include "driver/contract/hypervisor.h"

namespace warren::daemon::rpc {

class FakeDomainAgent : public driver::HypervisorDriver {
 public:
  std::string asked;  // the last call's arguments
  std::vector<driver::GuestInterface> guest_interfaces{
      {"eth0", "52:54:00:00:00:01", {{VIR_IP_ADDR_TYPE_IPV4, "192.0.2.1", 24}}}};

  void agent_command(const driver::Caller&, const driver::Uuid&, std::string command, int timeout,
                     unsigned int, driver::Completion<std::string> done) override {
    asked = command + " " + std::to_string(timeout);
    done("{\"return\":{}}");
  }
  void set_agent_response_timeout(const driver::Caller&, const driver::Uuid&, int timeout, unsigned int,
                                  driver::Completion<void> done) override {
    asked = std::to_string(timeout);
    done({});
  }
  void guest_hostname(const driver::Caller&, const driver::Uuid&, unsigned int,
                      driver::Completion<std::string> done) override {
    done("guest");
  }
  void guest_time(const driver::Caller&, const driver::Uuid&, unsigned int,
                  driver::Completion<driver::GuestTime> done) override {
    done(driver::GuestTime{7, 8});
  }
  void set_guest_time(const driver::Caller&, const driver::Uuid&, driver::GuestTime time, unsigned int,
                      driver::Completion<void> done) override {
    asked = std::to_string(time.seconds) + "." + std::to_string(time.nanoseconds);
    done({});
  }
  void guest_info(const driver::Caller&, const driver::Uuid&, unsigned int, unsigned int,
                  driver::Completion<driver::TypedParameters> done) override {
    done(driver::TypedParameters{{"user.count", std::uint32_t{0}}});
  }
  void guest_vcpus(const driver::Caller&, const driver::Uuid&, unsigned int,
                   driver::Completion<driver::TypedParameters> done) override {
    done(driver::TypedParameters{{"vcpus", std::string("0-1")}});
  }
  void set_guest_vcpus(const driver::Caller&, const driver::Uuid&, std::string cpus, int state, unsigned int,
                       driver::Completion<void> done) override {
    asked = cpus + " " + std::to_string(state);
    done({});
  }
  void guest_vcpu_count(const driver::Caller&, const driver::Uuid&, unsigned int,
                        driver::Completion<int> done) override {
    done(2);
  }
  void set_user_password(const driver::Caller&, const driver::Uuid&, std::string user, std::string password,
                         unsigned int, driver::Completion<void> done) override {
    asked = user + " " + password;
    done({});
  }
  void authorized_ssh_keys(const driver::Caller&, const driver::Uuid&, std::string user, unsigned int,
                           driver::Completion<std::vector<std::string>> done) override {
    done(std::vector<std::string>{"key of " + user});
  }
  void set_authorized_ssh_keys(const driver::Caller&, const driver::Uuid&, std::string user,
                               std::vector<std::string> keys, unsigned int,
                               driver::Completion<void> done) override {
    asked = user + " " + std::to_string(keys.size());
    done({});
  }
  void interface_addresses(const driver::Caller&, const driver::Uuid&, unsigned int, unsigned int,
                           driver::Completion<std::vector<driver::GuestInterface>> done) override {
    done(guest_interfaces);
  }
  void filesystems(const driver::Caller&, const driver::Uuid&, unsigned int,
                   driver::Completion<std::vector<driver::GuestFilesystem>> done) override {
    done(std::vector<driver::GuestFilesystem>{{"/", "vda1", "ext4", {"vda"}}});
  }
  void freeze_filesystems(const driver::Caller&, const driver::Uuid&, std::vector<std::string> mountpoints,
                          unsigned int, driver::Completion<int> done) override {
    done(static_cast<int>(mountpoints.size()));
  }
  void thaw_filesystems(const driver::Caller&, const driver::Uuid&, std::vector<std::string> mountpoints,
                        unsigned int, driver::Completion<int> done) override {
    done(static_cast<int>(mountpoints.size()));
  }
  void trim_filesystems(const driver::Caller&, const driver::Uuid&,
                        const std::optional<std::string>& mountpoint, std::uint64_t minimum, unsigned int,
                        driver::Completion<void> done) override {
    asked = mountpoint.value_or("all") + " " + std::to_string(minimum);
    done({});
  }
};

}  // namespace warren::daemon::rpc
