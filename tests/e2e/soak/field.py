"""The plant of the soak: Modbus TCP devices and an RTU line on a pty, which note every value they answer."""

import contextlib
import os
import pathlib
import random
import select
import socket
import struct
import threading
import time
import tty

from . import values

# What becomes of an answer: it must arrive; it may (it came late, or on a connection that was being cut);
# it must not, since it was sent under another id, unit or length, or damaged.
MUST, MAY, MUST_NOT = 0, 1, 2
WORDS = 4  # Registers of a tag.


class Device:
    """What a device answers, and the memory of it."""

    # On a line without transaction ids the gateway asks for other lengths to find out whose an answer is: such a
    # request is no poll, and nothing of it becomes a reading. Here every poll of the line is for all its tags.
    polls_whole = False

    def __init__(self, index, name, tags, seed):
        self.index, self.name, self.tags = index, name, tags
        self.lock = threading.Lock()
        # Of every answer: when it was made and when it was sent, when the request before it was over, its tags,
        # its fate.
        self.begins, self.times, self.befores, self.masks, self.fates = [], [], [], [], bytearray()
        self.over = time.time()
        self.deed, self.until = None, 0.0
        self.dice = random.Random(f"{seed}/{name}")
        self.did = {}

    def misbehave(self, deed, seconds):
        self.until = time.time() + seconds
        self.deed = deed

    def behave(self):
        self.deed = None

    def doing(self):
        return self.deed if time.time() < self.until else None

    def read(self, address, count, fate):
        """The words of an answer, under a serial number of its own. Noted before it is sent."""
        with self.lock:
            serial = len(self.times)
            mask = 0
            for tag in range(self.tags):
                if address <= tag * WORDS and (tag + 1) * WORDS <= address + count:
                    mask |= 1 << tag
            self.begins.append(time.time())
            self.times.append(self.begins[-1])
            self.befores.append(self.over)
            self.masks.append(mask)
            self.fates.append(fate)
        numbers = {tag: values.make(self.index, tag, serial) for tag in range(address // WORDS, (address + count - 1) // WORDS + 1)}
        return serial, [numbers[r // WORDS] >> 16 * (WORDS - 1 - r % WORDS) & 0xFFFF for r in range(address, address + count)]

    def answered(self, serial):
        """Timed again when it was sent: between the two a busy machine may have waited."""
        self.over = time.time()
        if serial is not None:
            self.times[serial] = self.over

    def nothing(self, deed):
        """A request without an answer that is one."""
        self.did[deed] = self.did.get(deed, 0) + 1
        self.over = time.time()

    def set_fate(self, serial, fate):
        self.fates[serial] = fate

    def answer(self, pdu, deed):
        """(serial or None, PDU)."""
        self.did[deed] = self.did.get(deed, 0) + 1
        function, address, count = struct.unpack(">BHH", pdu[:5])
        if function != 3 or not 0 < count <= 125 or address + count > self.tags * WORDS:
            return None, struct.pack(">BB", function | 0x80, 2)
        if deed == "exceptions":
            return None, struct.pack(">BB", function | 0x80, self.dice.choice([4, 5, 6, 6, 8, 10, 11]))
        fate = {"late": MAY, "cut-off": MAY}.get(deed, MUST_NOT if deed in WRONG else MUST)
        if deed == "wrong-length":
            count = max(1, count - 4)
        serial, words = self.read(address, count, fate)
        if deed == "wrong-function":
            function = 4
        return serial, struct.pack(f">BB{count}H", function, 2 * count, *words)


WRONG = ("wrong-id", "wrong-unit", "wrong-length", "wrong-function", "damaged")


class TcpDevice(Device):
    """A device with a port of its own, unit 1."""

    DEEDS = ["silent", "late", "garbage", "exceptions", "cut-off", "wrong-id", "wrong-unit", "wrong-length", "wrong-function", "twice"]

    def __init__(self, index, name, tags, seed, timeout):
        super().__init__(index, name, tags, seed)
        self.timeout = timeout
        self.peers = set()
        self.listener = None
        self.port = 0
        self.listen()

    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def deaf(self):
        """Nobody listens any more, and who is connected is thrown out."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.reset()

    def reset(self):
        for peer in list(self.peers):
            abort(peer)

    def _accept(self, listener):
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.peers.add(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            self._exchange(peer)
        except (OSError, ValueError, struct.error):
            pass  # the gateway or a fault ended the connection
        finally:
            self.peers.discard(peer)
            peer.close()

    def _exchange(self, peer):
        stream = peer.makefile("rb")
        while len(header := stream.read(7)) == 7:
            tid, _, length, unit = struct.unpack(">HHHB", header)
            pdu = stream.read(length - 1)
            if len(pdu) < length - 1:
                return
            deed = self.doing()
            if deed in ("silent", "garbage"):
                if deed == "garbage":
                    peer.sendall(self.dice.randbytes(self.dice.randint(1, 60)))
                self.nothing(deed)
                continue
            if deed == "late":
                time.sleep(self.timeout * self.dice.uniform(0.6, 1.6))
            serial, answer = self.answer(pdu, deed)
            if deed == "wrong-id":
                tid = tid + self.dice.randint(1, 0xFFFE) & 0xFFFF
            if deed == "wrong-unit":
                unit ^= self.dice.randint(1, 0xFF)
            frame = struct.pack(">HHHB", tid, 0, len(answer) + 1, unit) + answer
            if deed == "cut-off" and len(frame) > 12:
                peer.sendall(frame[: self.dice.randint(8, len(frame) - 1)])
                abort(peer)
                return
            peer.sendall(frame * (2 if deed == "twice" else 1))
            self.answered(serial)


def abort(peer):
    """RST: what is on its way is lost."""
    with contextlib.suppress(OSError):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.shutdown(socket.SHUT_RD)
        peer.close()


def crc(frame):
    """That of Modbus, as it is sent."""
    register = 0xFFFF
    for byte in frame:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return struct.pack("<H", register)


class SerialDevice(Device):
    """An RTU device on a pty whose name, as an adapter's by-id link, is gone while it is unplugged."""

    polls_whole = True
    DEEDS = ["silent", "late", "garbage", "exceptions", "wrong-unit", "wrong-length", "wrong-function", "damaged", "twice"]

    def __init__(self, index, name, tags, seed, timeout, link):
        super().__init__(index, name, tags, seed)
        self.timeout, self.link = timeout, pathlib.Path(link)
        self.master = self.slave = None
        self.plug()

    def plug(self):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.link.symlink_to(os.ttyname(self.slave))
        self.unplugged = threading.Event()
        self.thread = threading.Thread(target=self._serve, args=(self.master, self.unplugged), daemon=True)
        self.thread.start()

    def unplug(self):
        self.link.unlink()
        self.unplugged.set()
        self.thread.join()
        os.close(self.slave)
        os.close(self.master)

    def _serve(self, master, unplugged):
        buffer = b""
        while not unplugged.is_set():
            if not select.select([master], [], [], 0.1)[0]:
                buffer = b""  # A silence ends a frame.
                continue
            try:
                buffer += os.read(master, 1024)
            except OSError:
                return
            while len(buffer) >= 8:
                frame = buffer[:8]
                if crc(frame[:6]) != frame[6:]:
                    buffer = buffer[1:]
                    continue
                buffer = buffer[8:]
                with contextlib.suppress(OSError):
                    self._request(master, frame)

    def _request(self, master, frame):
        unit, pdu, deed = frame[0], frame[1:6], self.doing()
        if unit != 1 or deed in ("silent", "garbage"):
            if deed == "garbage":
                os.write(master, self.dice.randbytes(self.dice.randint(1, 60)))
            self.nothing(deed)
            return
        if deed == "late":
            time.sleep(self.timeout * self.dice.uniform(0.6, 1.6))
        serial, answer = self.answer(pdu, deed)
        if deed == "wrong-unit":
            unit = self.dice.randint(2, 247)
        out = bytes([unit]) + answer
        out += crc(out)
        if deed == "damaged":
            at = self.dice.randrange(len(out))
            out = out[:at] + bytes([out[at] ^ self.dice.randint(1, 255)]) + out[at + 1 :]
        os.write(master, out * (2 if deed == "twice" else 1))
        self.answered(serial)
