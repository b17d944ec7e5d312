"""The emulator's monitor (QMP) on a Unix socket."""

import json
import socket
import threading
import time
from pathlib import Path

BEAT = 0.5  # seconds


class Monitor:
    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 30
        while True:
            try:
                self._socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        self._file = self._socket.makefile("rw")
        self._receive()
        self.call("qmp_capabilities")

    def call(self, command: str, **arguments: object) -> dict:
        self._file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._file.flush()
        while "event" in (answer := self._receive()):
            pass
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']['desc']}")
        return answer

    def _receive(self) -> dict:
        if not (line := self._file.readline()):
            raise EOFError("the emulator has ended")
        return json.loads(line)


def arguments(control: Path) -> list[str]:
    return ["-qmp", f"unix:{control},server=on,wait=off"]


class Heartbeat:
    """Presses a key that means nothing, twice a second, for as long as the emulator lives.

    QEMU 7.2 loses an interrupt now and then: the CPU's thread changes the pending interrupts (VMRUN and #VMEXIT do,
    for V_IRQ) without the lock under which another thread adds one. The local APIC then waits with a vector in IRR
    for the next interrupt to say so. On a host whose one CPU runs a guest that spins for another vCPU nothing ever
    does: the timer was the one that is lost, and everything stands still.
    """

    def __init__(self, monitor: Monitor) -> None:
        threading.Thread(target=self._run, args=(monitor,), daemon=True).start()

    def _run(self, monitor: Monitor) -> None:
        try:
            while True:
                monitor.call("send-key", keys=[{"type": "qcode", "data": "shift"}])
                time.sleep(BEAT)
        except (EOFError, OSError):
            pass
