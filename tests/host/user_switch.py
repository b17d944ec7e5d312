"""A back end of vhost-user-net (QEMU's docs/interop/vhost-user): answers ARP and ICMP echo at 10.0.2.2."""

import array
import mmap
import os
import select
import socket
import struct
import threading
from pathlib import Path

ADDRESS, MAC = bytes((10, 0, 2, 2)), bytes((0x52, 0x54, 0, 0x99, 0x99, 0x99))
VERSION_1, PROTOCOL_FEATURES, EVENT_INDEX, INDIRECT = 1 << 32, 1 << 30, 1 << 29, 1 << 28
REPLY_ACK = 1 << 3
HEADER = 12  # of virtio, in front of each packet
NEXT, WRITE = 1, 2


class Ring:
    def __init__(self) -> None:
        self.size = self.next = 0
        self.descriptors = self.available = self.used = 0
        self.kick = self.call = -1
        self.enabled = False

    @property
    def runs(self) -> bool:
        return self.kick >= 0 and self.enabled

    def stop(self) -> None:
        for descriptor in (self.kick, self.call):
            if descriptor >= 0:
                os.close(descriptor)
        self.kick = self.call = -1
        self.enabled = False


class Switch(threading.Thread):
    """Serves one connection after the other at `path` until end(). `packets` counts what guests have sent."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.packets = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o666)
        self._listener.listen()
        self._connection: socket.socket | None = None
        self._reset()
        self.start()

    def end(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        self.join(10)
        self._listener.close()

    def hang_up(self) -> None:
        if self._connection:
            self._connection.shutdown(socket.SHUT_RDWR)

    def _reset(self) -> None:
        self._regions: list[tuple[int, int, int, mmap.mmap]] = []  # guest address, size, user address; from 0 on
        self._offsets: list[int] = []
        self._rings = [Ring(), Ring()]
        self._answers: list[bytes] = []
        self._has_event_index = False

    def run(self) -> None:
        while True:
            try:
                self._connection = self._listener.accept()[0]
            except OSError:
                return
            self._serve(self._connection)
            for ring in self._rings:
                ring.stop()
            self._connection.close()
            self._connection = None
            self._reset()

    def _serve(self, connection: socket.socket) -> None:
        while True:
            kicks = [ring.kick for ring in self._rings if ring.runs]
            ready, _, _ = select.select([connection, *kicks], [], [])
            for kick in kicks:
                if kick in ready:
                    os.read(kick, 8)
            if connection in ready and not self._take_message(connection):
                return
            if all(ring.runs for ring in self._rings):
                self._serve_rings()

    def _take_message(self, connection: socket.socket) -> bool:
        files = array.array("i")
        header, control, _, _ = connection.recvmsg(12, socket.CMSG_SPACE(8 * 4))
        if len(header) != 12:
            return False
        for _, _, data in control:
            files.frombytes(data)
        request, flags, size = struct.unpack("<III", header)
        payload = connection.recv(size, socket.MSG_WAITALL) if size else b""
        answer = self._handle(request, payload, list(files))
        if answer is None and flags & 8:
            answer = struct.pack("<Q", 0)
        if answer is not None:
            connection.sendall(struct.pack("<III", request, 1 | 4, len(answer)) + answer)
        return True

    def _handle(self, request: int, payload: bytes, files: list[int]) -> bytes | None:
        if request == 1:
            return struct.pack("<Q", VERSION_1 | PROTOCOL_FEATURES | EVENT_INDEX | INDIRECT)
        if request == 2:
            self._has_event_index = bool(struct.unpack("<Q", payload)[0] & EVENT_INDEX)
        if request == 15:
            return struct.pack("<Q", REPLY_ACK)
        if request == 5:
            self._map(payload, files)
        if request not in range(8, 19) or request in (16, 17):
            return struct.pack("<Q", 1) if request == 17 else None
        index, number = struct.unpack_from("<II", payload)
        ring = self._rings[index & 0xff]
        if request == 8:
            ring.size = number
        elif request == 9:
            _, _, ring.descriptors, ring.used, ring.available, _ = struct.unpack("<IIQQQQ", payload)
        elif request == 10:
            ring.next = number & 0xffff
        elif request == 11:
            ring.stop()
            return struct.pack("<II", index, ring.next)
        elif request == 12:
            ring.kick = files[0]
        elif request == 13:
            ring.call = files[0]
        elif request == 14:
            os.close(files[0])
        elif request == 18:
            ring.enabled = number != 0
        return None

    def _map(self, payload: bytes, files: list[int]) -> None:
        self._regions.clear()
        self._offsets.clear()
        for i in range(struct.unpack_from("<I", payload)[0]):
            guest, size, user, offset = struct.unpack_from("<QQQQ", payload, 8 + 32 * i)
            self._regions.append((guest, size, user, mmap.mmap(files[i], offset + size)))
            self._offsets.append(offset)
            os.close(files[i])

    def _at(self, address: int, kind: int) -> tuple[mmap.mmap, int]:
        """`kind`: 0 for addresses of the guest, 2 for those of the worker."""
        for region, offset in zip(self._regions, self._offsets):
            if region[kind] <= address < region[kind] + region[1]:
                return region[3], offset + address - region[kind]
        raise RuntimeError(f"no memory at {address:#x}")

    def _load(self, address: int, form: str, kind: int = 2) -> tuple[int, ...]:
        memory, at = self._at(address, kind)
        return struct.unpack_from(form, memory, at)

    def _store(self, address: int, form: str, *values: int) -> None:
        memory, at = self._at(address, 2)
        struct.pack_into(form, memory, at, *values)

    def _chain(self, ring: Ring, head: int) -> list[tuple[int, int, bool]]:
        parts, at, table, kind = [], head, ring.descriptors, 2
        while True:
            address, length, flags, following = self._load(table + 16 * at, "<QIHH", kind)
            if flags & 4:  # a table of its own, of the guest's addresses
                table, kind, at = address, 0, 0
                continue
            parts.append((address, length, bool(flags & WRITE)))
            if not flags & NEXT:
                return parts
            at = following

    def _take(self, ring: Ring) -> int | None:
        if self._load(ring.available + 2, "<H")[0] == ring.next:
            if not self._has_event_index:
                return None
            # A doorbell is wanted for the next one (virtio 1.2 §2.7.10), if it has not come meanwhile.
            self._store(ring.used + 4 + 8 * ring.size, "<H", ring.next)
            if self._load(ring.available + 2, "<H")[0] == ring.next:
                return None
        (head,) = self._load(ring.available + 4 + 2 * (ring.next % ring.size), "<H")
        ring.next = (ring.next + 1) & 0xffff
        return head

    def _give_back(self, ring: Ring, head: int, length: int) -> None:
        (index,) = self._load(ring.used + 2, "<H")
        self._store(ring.used + 4 + 8 * (index % ring.size), "<II", head, length)
        self._store(ring.used + 2, "<H", (index + 1) & 0xffff)
        os.write(ring.call, struct.pack("<Q", 1))

    def _serve_rings(self) -> None:
        receive, transmit = self._rings
        while (head := self._take(transmit)) is not None:
            packet = b""
            for address, length, _ in self._chain(transmit, head):
                try:
                    memory, at = self._at(address, 0)
                except RuntimeError:  # the guest means no memory: it has sent nothing
                    packet = b""
                    break
                packet += memory[at:at + length]
            self._give_back(transmit, head, 0)
            self.packets += 1
            if answer := answer_to(packet[HEADER:]):
                self._answers.append(answer)
        while self._answers and (head := self._take(receive)) is not None:
            packet = struct.pack("<BBHHHHH", 0, 0, 0, 0, 0, 0, 1) + self._answers.pop(0)
            at_packet = 0
            for address, length, _ in self._chain(receive, head):
                memory, at = self._at(address, 0)
                piece = packet[at_packet:at_packet + length]
                memory[at:at + len(piece)] = piece
                at_packet += len(piece)
            self._give_back(receive, head, at_packet)


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def answer_to(frame: bytes) -> bytes | None:
    if len(frame) < 42:
        return None
    kind = frame[12:14]
    if kind == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == ADDRESS:
        reply = frame[6:12] + MAC + frame[12:20] + b"\0\2" + MAC + ADDRESS + frame[22:32]
        return reply.ljust(60, b"\0")
    if kind == b"\x08\x00" and frame[23] == 1 and frame[34] == 8 and frame[30:34] == ADDRESS:
        end = 14 + struct.unpack_from(">H", frame, 16)[0]
        echo = b"\0\0\0\0" + frame[38:end]
        echo = echo[:2] + struct.pack(">H", checksum(echo)) + echo[4:]
        return (frame[6:12] + MAC + frame[12:26] + frame[30:34] + frame[26:30] + echo).ljust(60, b"\0")
    return None
