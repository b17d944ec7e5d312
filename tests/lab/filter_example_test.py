#!/usr/bin/python3
"""libvirt's examples of filters whose rules know connections, which this kernel's bridges do: who may begin, who may
answer, how many at once; what belongs to another connection. What the kernel of tests/host does: filter_example_test.py
there."""
# time limit: 380 s

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fixtures import tap
from fixtures.filter_case import (BY_PORTS, BY_PORTS_IPV6, BY_STATES, BY_STATES_IPV6, FTP, LIMITED, OTHER, OWN,
                                  FilterCase)

# What whoever wants FTP tells the kernel, for which loading nf_conntrack_ftp is not enough since Linux 6.0: which
# connections say where the next one goes.
HELPER = """table bridge ftp {
  ct helper ftp { type "ftp" protocol tcp; }
  chain said { type filter hook prerouting priority -150; tcp dport 21 ct helper set "ftp"; }
}
"""
BEGINS_AND_ANSWERS = "in:tcp:22 in:tcp:80 out:udp:53 out:ping"
NEITHER = "in:tcp:81 in:ping out:tcp:7000 out:tcp:7001:22 out:udp:54"
KERNEL = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])


class FilterExamples(FilterCase):
    unanswered = 0.7
    shows_again = False

    def test_1_without_a_filter(self):
        for family in (4, 6):
            self.judge(family, f"{BEGINS_AND_ANSWERS} {NEITHER}")

    def test_2_by_ports(self):
        self.bind(BY_PORTS, IP=OWN)
        self.judge(4, BEGINS_AND_ANSWERS, NEITHER)
        self.bind(BY_PORTS_IPV6)
        self.judge(6, BEGINS_AND_ANSWERS, NEITHER)

    def test_3_by_states(self):
        self.bind(BY_STATES, IP=OWN)
        self.judge(4, BEGINS_AND_ANSWERS, f"{NEITHER} out:tcp:7002:20")
        self.bind(BY_STATES_IPV6)
        self.judge(6, BEGINS_AND_ANSWERS, NEITHER)

    def test_4_states_that_do_not_matter(self):
        """statematch='false': the guest may also begin from the port that it serves."""
        rule = """<filter name='stateless'><rule action='accept' direction='in' statematch='{}'>
          <tcp dstportstart='12345'/></rule><rule action='drop' direction='inout'><tcp/></rule></filter>"""
        self.bind(rule.format("true"))
        self.judge(4, "in:tcp:12345", "out:tcp:7003:12345")
        self.bind(rule.format("false"))
        self.judge(4, "in:tcp:12345 out:tcp:7003:12345", "out:tcp:7003")

    def test_5_data_of_ftp(self):
        """The guest connects from port 20 to where it was told on port 21, and nowhere else. Bridges ask what knows FTP
        since Linux 6.2; before, the data is kept in: nothing is taken for RELATED that is not known to be."""
        self.bind(FTP, IP=OWN)
        self.daemon.in_network("nft", "-f", self.file(HELPER))
        self.addCleanup(self.daemon.in_network, "nft", "delete", "table", "bridge", "ftp")
        with self.guest.listen(21) as server, self.peer.listen(7005) as told, self.peer.listen(7006) as not_told:
            client, control = self.connect(self.peer, server, OWN)
            with client, control:
                client.sendall(f"PORT {OTHER.replace('.', ',')},{7005 >> 8},{7005 & 255}\r\n".encode())
                self.assertIn(b"PORT", control.recv(64))
                self.assertIsNone(self.connect(self.guest, not_told, OTHER, 20, self.unanswered))
                data = self.connect(self.guest, told, OTHER, 20, 20 if KERNEL >= (6, 2) else self.unanswered)
                self.assertEqual(data is not None, KERNEL >= (6, 2), "the connection that is related")
                if data:
                    with data[0], data[1]:
                        self.say(*data)
                self.say(client, control)

    def test_6_one_connection_and_one_ping_at_a_time(self):
        self.daemon.in_network("sysctl", "-qw", "net.netfilter.nf_conntrack_icmp_timeout=3")
        self.bind(LIMITED)
        self.judge(4, "out:ping", "out:ping")
        pinged = time.monotonic()
        with self.guest.listen(22) as server:
            first = self.connect(self.peer, server, OWN)
            with first[0], first[1]:
                self.say(*first)
                for _ in range(2):
                    self.assertIsNone(self.connect(self.peer, server, OWN, 0, self.unanswered), "a second one")
                    self.say(*first)  # which goes on
            # Once it has ended, there may be another.
            deadline = time.monotonic() + 20
            while (second := self.connect(self.peer, server, OWN, 0, self.unanswered)) is None:
                self.assertLess(time.monotonic(), deadline, "none after the first")
            with second[0], second[1]:
                self.say(*second)
        self.judge(4, "out:udp:53", "in:tcp:80 in:ping")
        time.sleep(max(0.0, pinged + 5 - time.monotonic()))  # until the kernel has forgotten the first
        self.judge(4, "out:ping")


if __name__ == "__main__":
    tap.main()
