#include "driver/nwfilter/stock_filters.h"

namespace warren::driver::nwfilter {

namespace {

constexpr std::string_view kFilters[] = {
    // One protocol, whoever speaks it.
    R"(<filter name='allow-arp' chain='arp'>
  <rule action='accept' direction='inout'/>
</filter>)",
    R"(<filter name='allow-ipv4' chain='ipv4'>
  <rule action='accept' direction='inout'/>
</filter>)",
    R"(<filter name='allow-ipv6' chain='ipv6'>
  <rule action='accept' direction='inout'/>
</filter>)",
    R"(<filter name='allow-incoming-ipv4' chain='ipv4'>
  <rule action='accept' direction='in'/>
</filter>)",
    R"(<filter name='allow-incoming-ipv6' chain='ipv6'>
  <rule action='accept' direction='in'/>
</filter>)",
    // RFC 2131 §4.1: a client without an address asks all, from port 68 to port 67.
    R"(<filter name='allow-dhcp' chain='ipv4'>
  <rule action='accept' direction='out' priority='100'>
    <ip srcipaddr='0.0.0.0' dstipaddr='255.255.255.255' protocol='udp' srcportstart='68' dstportstart='67'/>
  </rule>
  <rule action='accept' direction='in' priority='100'>
    <ip protocol='udp' srcportstart='67' dstportstart='68'/>
  </rule>
</filter>)",
    R"(<filter name='allow-dhcp-server' chain='ipv4'>
  <rule action='accept' direction='out' priority='100'>
    <ip srcipaddr='0.0.0.0' dstipaddr='255.255.255.255' protocol='udp' srcportstart='68' dstportstart='67'/>
  </rule>
  <rule action='accept' direction='in' priority='100'>
    <ip srcipaddr='$DHCPSERVER' protocol='udp' srcportstart='67' dstportstart='68'/>
  </rule>
</filter>)",
    // RFC 8415 §7: from a link-local address and port 546 to all servers and relays, port 547.
    R"(<filter name='allow-dhcpv6' chain='ipv6'>
  <rule action='accept' direction='out' priority='100'>
    <ipv6 srcipaddr='fe80::' srcipmask='10' dstipaddr='ff02::1:2' protocol='udp' srcportstart='546'
          dstportstart='547'/>
  </rule>
  <rule action='accept' direction='in' priority='100'>
    <ipv6 srcipaddr='fe80::' srcipmask='10' protocol='udp' srcportstart='547' dstportstart='546'/>
  </rule>
</filter>)",
    R"(<filter name='allow-dhcpv6-server' chain='ipv6'>
  <rule action='accept' direction='out' priority='100'>
    <ipv6 srcipaddr='fe80::' srcipmask='10' dstipaddr='ff02::1:2' protocol='udp' srcportstart='546'
          dstportstart='547'/>
  </rule>
  <rule action='accept' direction='in' priority='100'>
    <ipv6 srcipaddr='$DHCPSERVER' protocol='udp' srcportstart='547' dstportstart='546'/>
  </rule>
</filter>)",
    // Who the guest says it is, by MAC, ARP, IPv4 and IPv6.
    R"(<filter name='no-mac-spoofing' chain='mac' priority='-800'>
  <rule action='return' direction='out' priority='400'>
    <mac srcmacaddr='$MAC'/>
  </rule>
  <rule action='drop' direction='out'>
    <mac/>
  </rule>
</filter>)",
    R"(<filter name='no-mac-broadcast' chain='ipv4'>
  <rule action='drop' direction='out'>
    <mac dstmacaddr='ff:ff:ff:ff:ff:ff'/>
  </rule>
</filter>)",
    R"(<filter name='no-arp-mac-spoofing' chain='arp-mac' priority='-520'>
  <rule action='return' direction='out' priority='300'>
    <arp arpsrcmacaddr='$MAC'/>
  </rule>
  <rule action='drop' direction='out' priority='1000'/>
</filter>)",
    R"(<filter name='no-arp-ip-spoofing' chain='arp-ip' priority='-510'>
  <rule action='return' direction='out' priority='300'>
    <arp arpsrcipaddr='$IP'/>
  </rule>
  <rule action='drop' direction='out' priority='1000'/>
</filter>)",
    R"(<filter name='no-arp-spoofing' chain='root'>
  <filterref filter='no-arp-mac-spoofing'/>
  <filterref filter='no-arp-ip-spoofing'/>
</filter>)",
    // A guest that asks for an address has none yet.
    R"(<filter name='no-ip-spoofing' chain='ipv4-ip' priority='-710'>
  <rule action='return' direction='out' priority='100'>
    <ip srcipaddr='0.0.0.0' protocol='udp'/>
  </rule>
  <rule action='return' direction='out' priority='300'>
    <ip srcipaddr='$IP'/>
  </rule>
  <rule action='drop' direction='out' priority='1000'/>
</filter>)",
    R"(<filter name='no-ipv6-spoofing' chain='ipv6-ip' priority='-610'>
  <rule action='return' direction='out' priority='100'>
    <ipv6 srcipaddr='fe80::' srcipmask='10' protocol='udp'/>
  </rule>
  <rule action='return' direction='out' priority='300'>
    <ipv6 srcipaddr='$IPV6'/>
  </rule>
  <rule action='drop' direction='out' priority='1000'/>
</filter>)",
    R"(<filter name='no-ip-multicast' chain='ipv4'>
  <rule action='drop' direction='out'>
    <ip dstipaddr='224.0.0.0' dstipmask='4'/>
  </rule>
</filter>)",
    R"(<filter name='no-ipv6-multicast' chain='ipv6'>
  <rule action='drop' direction='out'>
    <ipv6 dstipaddr='ff00::' dstipmask='8'/>
  </rule>
</filter>)",
    // What is left once other filters have let through what they know.
    R"(<filter name='no-other-l2-traffic' chain='root'>
  <rule action='drop' direction='inout' priority='1000'/>
</filter>)",
    R"(<filter name='no-other-rarp-traffic' chain='rarp'>
  <rule action='drop' direction='inout' priority='1000'/>
</filter>)",
    // A hypervisor tells the switches where a guest is after a migration: a RARP request of the guest for
    // itself (RFC 903), or, from old ones, a frame of type 0x835.
    R"(<filter name='qemu-announce-self-rarp' chain='rarp'>
  <rule action='accept' direction='out'>
    <rarp srcmacaddr='$MAC' dstmacaddr='ff:ff:ff:ff:ff:ff' opcode='Request_Reverse' arpsrcmacaddr='$MAC'
          arpdstmacaddr='$MAC' arpsrcipaddr='0.0.0.0' arpdstipaddr='0.0.0.0'/>
  </rule>
  <rule action='accept' direction='in'>
    <rarp dstmacaddr='ff:ff:ff:ff:ff:ff' opcode='Request_Reverse' arpsrcmacaddr='$MAC' arpdstmacaddr='$MAC'
          arpsrcipaddr='0.0.0.0' arpdstipaddr='0.0.0.0'/>
  </rule>
</filter>)",
    R"(<filter name='qemu-announce-self' chain='root'>
  <rule action='accept' direction='out'>
    <mac protocolid='0x835'/>
  </rule>
  <filterref filter='qemu-announce-self-rarp'/>
  <filterref filter='no-other-rarp-traffic'/>
</filter>)",
    // IPv4 and ARP alone, and under the guest's own addresses.
    R"(<filter name='clean-traffic' chain='root'>
  <filterref filter='no-mac-spoofing'/>
  <filterref filter='no-ip-spoofing'/>
  <rule action='accept' direction='out' priority='-650'>
    <mac protocolid='ipv4'/>
  </rule>
  <filterref filter='allow-incoming-ipv4'/>
  <filterref filter='no-arp-spoofing'/>
  <rule action='accept' direction='inout' priority='-500'>
    <mac protocolid='arp'/>
  </rule>
  <filterref filter='no-other-l2-traffic'/>
  <filterref filter='qemu-announce-self'/>
</filter>)",
    // As clean-traffic, and with nobody but the gateway.
    R"(<filter name='clean-traffic-gateway' chain='root'>
  <filterref filter='no-mac-spoofing'/>
  <filterref filter='no-ip-spoofing'/>
  <filterref filter='no-arp-spoofing'/>
  <rule action='accept' direction='inout' priority='-500'>
    <mac protocolid='arp'/>
  </rule>
  <rule action='accept' direction='in'>
    <mac srcmacaddr='$GATEWAY_MAC'/>
  </rule>
  <rule action='accept' direction='out'>
    <mac dstmacaddr='$GATEWAY_MAC'/>
  </rule>
  <filterref filter='no-other-l2-traffic'/>
  <filterref filter='qemu-announce-self-rarp'/>
</filter>)",
};

}  // namespace

std::span<const std::string_view> stock_filters() {
  return kFilters;
}

}  // namespace warren::driver::nwfilter
