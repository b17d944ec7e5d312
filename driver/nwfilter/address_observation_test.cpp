// What frames say of a guest's address, and what they only pretend.

#include "driver/nwfilter/address_observation.h"

#include <gtest/gtest.h>

#include "driver/nwfilter/binding_status.h"
#include "driver/nwfilter/network_fixture.h"

namespace warren::driver::nwfilter {
namespace {

using Kind = AddressObservation::Kind;

constexpr const char* kGuest = "52:54:00:00:00:01";
constexpr const char* kOther = "52:54:00:00:00:66";

std::optional<AddressObservation> observe(const Frame& frame, bool to_guest) {
  return observe_address(frame, *config::parse_mac_address(kGuest), to_guest);
}

config::IpAddress ip(const char* text) {
  return *config::parse_ip_address(text);
}

Frame acknowledgement(std::uint32_t lease_s, const char* client = kGuest, unsigned type = 5) {
  return ipv4_frame(kOther, kGuest, "10.0.0.254", "10.0.0.1", 17,
                    udp_payload(67, 68, dhcp_message(client, type, "0.0.0.0", "10.0.0.1", lease_s)));
}

TEST(AddressObservationTest, WhatTheGuestSendsFromIsItsAddress) {
  EXPECT_EQ(observe(arp_frame(kGuest, kGuest, "10.0.0.1", "10.0.0.2"), false),
            (AddressObservation{.kind = Kind::used, .address = ip("10.0.0.1")}));
  EXPECT_EQ(observe(ipv4_frame(kGuest, kOther, "10.0.0.3", "10.0.0.2", 6, {}), false),
            (AddressObservation{.kind = Kind::used, .address = ip("10.0.0.3")}));
}

TEST(AddressObservationTest, WhatOthersSayOrNobodyCanHaveIsNot) {
  EXPECT_FALSE(observe(arp_frame(kOther, kGuest, "10.0.0.1", "10.0.0.2"), false));
  EXPECT_FALSE(observe(arp_frame(kGuest, kOther, "10.0.0.1", "10.0.0.2"), false));
  EXPECT_FALSE(observe(arp_frame(kGuest, kGuest, "10.0.0.1", "10.0.0.2"), true));
  for (const char* source : {"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "0.1.2.3"}) {
    EXPECT_FALSE(observe(arp_frame(kGuest, kGuest, source, "10.0.0.2"), false)) << source;
    EXPECT_FALSE(observe(ipv4_frame(kGuest, kOther, source, "10.0.0.2", 6, {}), false)) << source;
  }
}

TEST(AddressObservationTest, ALeaseIsWhatAServerAcknowledges) {
  EXPECT_EQ(
      observe(acknowledgement(3600), true),
      (AddressObservation{
          .kind = Kind::leased, .address = ip("10.0.0.1"), .server = ip("10.0.0.254"), .lease_s = 3600}));
  EXPECT_FALSE(observe(acknowledgement(0), true)) << "an answer to DHCPINFORM";
  EXPECT_FALSE(observe(acknowledgement(3600, kOther), true));
  EXPECT_FALSE(observe(acknowledgement(3600, kGuest, 2), true)) << "an offer";
  EXPECT_FALSE(observe(ipv4_frame(kGuest, kOther, "0.0.0.0", "10.0.0.1", 17,
                                  udp_payload(67, 68, dhcp_message(kGuest, 5, "0.0.0.0", "10.0.0.1", 60))),
                       false));
  EXPECT_EQ(observe(ipv4_frame(kGuest, kOther, "10.0.0.1", "10.0.0.254", 17,
                               udp_payload(68, 67, dhcp_message(kGuest, 7, "10.0.0.1", "0.0.0.0", 0))),
                    false)
                ->kind,
            Kind::released);
}

TEST(AddressObservationTest, FramesThatEndEarlyOrLieOfLengthsAreNothing) {
  const Frame whole = acknowledgement(3600);
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(observe(Frame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)), true))
        << size;
  Frame option = whole;
  option[option.size() - 6] = 200;  // the length of the lease's time
  EXPECT_FALSE(observe(option, true));
  Frame header = whole;
  header[14] = 0x4f;
  EXPECT_FALSE(observe(header, true));
  Frame fragment = whole;
  fragment[20] = 0x20;
  EXPECT_FALSE(observe(fragment, true));
}

TEST(BindingStatusTest, IsReadAsItWasWritten) {
  BindingStatus status;
  status.binding.owner_name = "a<b";
  status.binding.port_device = "vnet0";
  status.binding.filter = {.filter = "x", .parameters = {{"A", {"1", "2"}}}};
  status.learned = {{ip("10.0.0.1"), 77}, {ip("10.0.0.2"), std::nullopt}};
  EXPECT_EQ(parse_status(format_status(status)), status);
  EXPECT_THROW(parse_status("<bindingStatus/>"), Error);
  EXPECT_THROW(parse_status("<other/>"), Error);
}

}  // namespace
}  // namespace warren::driver::nwfilter
