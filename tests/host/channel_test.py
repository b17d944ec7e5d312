#!/usr/bin/python3
"""Channels of a virtio-serial controller and the guest agent behind one, answered by the test guest (mode=channels)."""

import contextlib
import os
import select
import socket
import sys
import time
import tty
from pathlib import Path
from xml.etree import ElementTree

import libvirt

sys.path.insert(0, str(Path(__file__).resolve().parent))

from domains import define, require_daemon
from fixtures import tap
from fixtures.daemon_case import DaemonCase
from fixtures.terminal import Terminal
from fixtures.warren_daemon import PrivateDaemon

AGENT = "org.qemu.guest_agent.0"


def channel(kind: str, name: str, source: str = "") -> str:
    return f"<channel type='{kind}'>{source}<target type='virtio' name='{name}'/></channel>"


def eventually(condition, limit: float = 20.0):
    """What `condition` returned when it first held."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError("it did not come about")
        time.sleep(0.05)
    return found


def read_line(receive) -> bytes:
    """One line, in as many parts as it comes."""
    received = b""
    while not received.endswith(b"\n"):
        part = receive(100)
        if not part:
            raise AssertionError(f"ended after {received!r}")
        received += part
    return received


class ChannelCase(DaemonCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = PrivateDaemon()
        cls.daemon.__enter__()
        cls.addClassCleanup(cls.daemon.__exit__)

    def start(self, name: str, *channels: str) -> None:
        define(self.daemon, name, "channels", devices="".join(channels))
        self.addCleanup(self.daemon.virsh, "undefine", name, check=False)
        self.addCleanup(self.daemon.virsh, "destroy", name, check=False)
        self.virsh("start", name)

    def channels(self, name: str) -> dict[str, ElementTree.Element]:
        document = ElementTree.fromstring(self.virsh("dumpxml", name))
        return {each.find("target").get("name"): each for each in document.iterfind("devices/channel")}

    def state(self, name: str, target: str) -> str:
        return self.channels(name)[target].find("target").get("state")

    def wait_until_open(self, name: str, *targets: str) -> None:
        eventually(lambda: all(self.state(name, target) == "connected" for target in targets))


class Channels(ChannelCase):
    def connect(self, path: str) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20)
        client.connect(path)
        self.addCleanup(client.close)
        return client

    def echo(self, client: socket.socket, text: bytes) -> None:
        client.sendall(text)
        received = b""
        while len(received) < len(text):
            part = client.recv(65536)
            self.assertTrue(part, f"ended after {received!r}")
            received += part
        self.assertEqual(received, text)

    def test_sockets(self):
        own = self.daemon.root / "own.sock"
        self.start("sockets", channel("unix", "org.example.0"),
                   channel("unix", "org.example.1", f"<source mode='bind' path='{own}'/>"))
        self.wait_until_open("sockets", "org.example.0", "org.example.1")
        shown = self.channels("sockets")
        made = shown["org.example.0"].find("source").get("path")
        self.assertTrue(made.endswith("/channel/org.example.0"), made)
        self.assertEqual(Path(made).stat().st_mode & 0o777, 0o600)
        self.assertEqual(shown["org.example.0"].find("address").attrib,
                         {"type": "virtio-serial", "controller": "0", "bus": "0", "port": "1"})
        client = self.connect(made)
        self.echo(client, b"over one\n")
        other = self.connect(str(own))
        self.echo(other, b"over the other\n")
        for number in range(40):  # more than any buffer on the way holds
            self.echo(client, b"%04d " % number + b"x" * 1500 + b"\n")
        # One client at a time: the next is served when this one has left.
        waiting = self.connect(made)
        waiting.settimeout(0.5)
        waiting.sendall(b"my turn\n")
        with self.assertRaises(TimeoutError):
            waiting.recv(100)
        client.close()
        waiting.settimeout(20)
        self.assertEqual(read_line(waiting.recv), b"my turn\n")
        self.assertNotIn("/channel/", self.virsh("dumpxml", "--inactive", "sockets"))
        self.virsh("destroy", "sockets")
        self.assertFalse(own.exists() or Path(made).exists())

    def test_the_guest_closes_and_opens(self):
        self.start("states", channel("unix", "org.example.0"))
        self.wait_until_open("states", "org.example.0")
        path = self.channels("states")["org.example.0"].find("source").get("path")
        client = self.connect(path)
        client.sendall(b"close\n")
        eventually(lambda: self.state("states", "org.example.0") == "disconnected")
        # What is written meanwhile is the guest's when it has opened the port again.
        self.echo(client, b"after that\n")
        self.assertEqual(self.state("states", "org.example.0"), "connected")

    def test_a_reset_closes_every_port(self):
        self.start("reset", channel("unix", "org.example.0"))
        self.wait_until_open("reset", "org.example.0")
        client = self.connect(self.channels("reset")["org.example.0"].find("source").get("path"))
        self.echo(client, b"before\n")
        with Terminal(["virsh", "-c", self.daemon.uri, "console", "reset"], limit=20) as console:
            console.expect("Escape character")
            self.virsh("reset", "reset")
            console.expect("READY")
        self.echo(client, b"and after\n")

    def test_pseudo_terminal(self):
        self.start("terminal", channel("pty", "org.example.0"))
        self.wait_until_open("terminal", "org.example.0")
        end = os.open(self.channels("terminal")["org.example.0"].find("source").get("path"), os.O_RDWR | os.O_NOCTTY)
        self.addCleanup(os.close, end)
        tty.setraw(end)
        os.write(end, b"over a terminal\n")
        received = b""
        while not received.endswith(b"\n"):
            self.assertTrue(select.select([end], [], [], 20)[0])
            received += os.read(end, 100)
        self.assertEqual(received, b"over a terminal\n")

    def test_refusals(self):
        def define_with(devices: str) -> str:
            with self.assertRaises(RuntimeError) as caught:
                define(self.daemon, "refused", "channels", devices=devices)
            return str(caught.exception)
        self.assertIn("'spicevmc' is not supported", define_with(channel("spicevmc", "com.redhat.spice.0")))
        self.assertIn("'tcp' is not supported", define_with(channel("tcp", "a")))
        self.assertIn("has the name 'a'", define_with(channel("unix", "a") + channel("unix", "a")))
        precious = self.daemon.root / "precious"
        precious.write_text("text")
        define(self.daemon, "file", "channels",
               devices=channel("unix", "a", f"<source mode='bind' path='{precious}'/>"))
        self.addCleanup(self.virsh, "undefine", "file")
        self.assertIn("something else is there", self.refused("start", "file"))
        self.assertEqual(precious.read_text(), "text")

    def test_streams(self):
        """virDomainOpenChannel, which virsh has no command for."""
        self.start("streams", channel("unix", "org.example.0"), channel("null", "org.example.1"))
        self.wait_until_open("streams", "org.example.0")
        libvirt.registerErrorHandler(lambda *_: None, None)
        connection = libvirt.open(self.daemon.uri)
        self.addCleanup(connection.close)
        domain = connection.lookupByName("streams")

        def open_channel(name: str | None, flags: int = 0) -> libvirt.virStream:
            stream = connection.newStream()
            domain.openChannel(name, stream, flags)
            return stream

        stream = open_channel("org.example.0")
        stream.send(b"through the daemon\n")
        self.assertEqual(read_line(stream.recv), b"through the daemon\n")
        for name, words in (("channel0", "Active channel session"), ("none", "cannot find channel none"),
                            ("channel1", "neither a pseudo terminal nor a socket")):
            with self.assertRaisesRegex(libvirt.libvirtError, words):
                open_channel(name)
        forced = open_channel("channel0", libvirt.VIR_DOMAIN_CHANNEL_FORCE)
        with self.assertRaisesRegex(libvirt.libvirtError, "another client took channel channel0 over"):
            stream.recv(100)
        forced.send(b"mine now\n")
        self.assertEqual(read_line(forced.recv), b"mine now\n")
        forced.finish()


class Agent(ChannelCase):
    @contextlib.contextmanager
    def agent_events(self):
        with Terminal(["virsh", "-c", self.daemon.uri, "event", "--event", "agent-lifecycle", "--loop", "--timeout",
                       "60"], limit=20) as terminal:
            time.sleep(0.5)  # it says nothing when it has registered
            yield lambda state, reason: terminal.expect(f"state: '{state}' reason: '{reason}'")

    def start_with_agent(self, name: str) -> None:
        self.start(name, channel("unix", AGENT))
        self.wait_until_open(name, AGENT)

    def test_commands(self):
        self.start_with_agent("commands")
        self.assertEqual(self.virsh("qemu-agent-command", "commands", '{"execute": "guest-ping"}'), '{"return":{}}')
        self.assertEqual(self.virsh("domhostname", "commands", "--source", "agent"), "test-guest")
        self.assertIn("not a command of this guest", self.refused("domtime", "commands"))
        self.assertIn("agent", self.refused("qemu-agent-command", "commands", "nonsense"))
        before = time.monotonic()
        self.assertIn("Guest agent not available for now",
                      self.refused("qemu-agent-command", "commands", "--timeout", "1", '{"execute": "test-silence"}'))
        self.assertLess(time.monotonic() - before, 5)
        self.virsh("guest-agent-timeout", "commands", "--timeout", "1")
        self.assertEqual(self.virsh("domhostname", "commands", "--source", "agent"), "test-guest")
        self.virsh("suspend", "commands")
        self.assertIn("domain is not running", self.refused("domhostname", "commands", "--source", "agent"))
        self.virsh("resume", "commands")

    def test_a_daemon_that_was_killed(self):
        """T14: the next one finds the agent."""
        self.start_with_agent("killed")
        self.daemon.kill()
        self.daemon.start()
        self.assertEqual(self.state("killed", AGENT), "connected")
        self.assertEqual(eventually(lambda: self.daemon.virsh("domhostname", "killed", check=False)), "test-guest")

    def test_events_and_power(self):
        with self.agent_events() as expect:
            self.start_with_agent("power")
            expect("disconnected", "domain started")
            expect("connected", "channel event")
            identity = self.virsh("domid", "power")
            self.virsh("reboot", "power", "--mode", "agent")
            expect("disconnected", "channel event")
            expect("connected", "channel event")
            self.assertEqual(self.virsh("domid", "power"), identity)
            self.assertEqual(self.virsh("domhostname", "power"), "test-guest")
            self.virsh("shutdown", "power", "--mode", "agent")
        self.daemon.wait_for_state("power", "shut off", 20)

    def test_without(self):
        self.start("without", channel("unix", "org.example.0"))
        for command in (["domhostname", "without", "--source", "agent"], ["shutdown", "without", "--mode", "agent"],
                        ["dompmsuspend", "without", "disk"], ["dompmsuspend", "without", "mem"],
                        ["guestinfo", "without"], ["domfsinfo", "without"]):
            self.assertIn("QEMU guest agent is not configured", self.refused(*command), command)
        define(self.daemon, "deaf", "idle", devices=channel("unix", AGENT))
        self.addCleanup(self.virsh, "undefine", "deaf")
        self.virsh("start", "deaf")
        self.addCleanup(self.virsh, "destroy", "deaf")
        self.assertIn("QEMU guest agent is not connected", self.refused("domhostname", "deaf", "--source", "agent"))


if __name__ == "__main__":
    require_daemon()
    tap.main()
