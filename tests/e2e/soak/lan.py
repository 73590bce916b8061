"""Clients of the gateway's own broker: one with a session that must get every message that was acknowledged,
and one that looks at live values as they come."""

import contextlib
import socket
import struct
import threading
import time

from mqtt_packets import whole


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


def packet(first, body):
    if len(body) > 127:
        raise ValueError("longer than this client sends")
    return bytes([first, len(body)]) + body


class Timed(dict):
    """A set that remembers when something came in, for `chaos.Source.safe`."""

    def add(self, number):
        self.setdefault(number, time.time())


class Client(threading.Thread):
    """Connects again whenever it is thrown out, but not while it is `gone`."""

    def __init__(self, port, name, topic, qos, is_clean):
        super().__init__(daemon=True)
        self.port, self.name_, self.topic, self.qos, self.is_clean = port, name, topic, qos, is_clean
        self.stopping, self.gone = False, threading.Event()
        self.socket = None

    def run(self):
        while not self.stopping:
            if self.gone.is_set():
                time.sleep(0.1)
                continue
            with contextlib.suppress(OSError):
                self._session()
            time.sleep(0.2)

    def leave(self):
        self.gone.set()
        if self.socket:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def come_back(self):
        self.gone.clear()

    def _session(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
            self.socket = s
            s.sendall(packet(0x10, text("MQTT") + bytes([4, 2 * self.is_clean]) + struct.pack(">H", 60) + text(self.name_)))
            buffer, pinged = bytearray(), time.monotonic()
            s.settimeout(10)
            while not self.stopping and not self.gone.is_set():
                try:
                    data = s.recv(65536)
                    if not data:
                        return
                except TimeoutError:
                    data = b""
                if time.monotonic() - pinged > 20:
                    s.sendall(b"\xc0\0")
                    pinged = time.monotonic()
                buffer += data
                end, answers = 0, []
                for at, begin, end in whole(buffer):
                    first, body = buffer[at], bytes(buffer[begin:end])
                    if first >> 4 == 2:
                        if body[1]:
                            raise OSError(f"refused: {body[1]}")
                        answers.append(packet(0x82, b"\0\1" + text(self.topic) + bytes([self.qos])))
                    elif first >> 4 == 3:
                        answers.append(self._publish(first, body))
                del buffer[:end]
                if any(answers):
                    s.sendall(b"".join(answers))

    def _publish(self, first, body):
        end = 2 + struct.unpack_from(">H", body)[0]
        topic, answer = body[2:end].decode(), b""
        if first >> 1 & 3:
            answer, end = b"\x40\x02" + body[end : end + 2], end + 2
        self.took(topic, body[end:])
        return answer


class Subscriber(Client):
    """Has a session, QoS 1: counts how often each number came."""

    def __init__(self, port):
        super().__init__(port, "recorder", "chaos/#", 1, False)
        self.numbers = {}

    def took(self, topic, payload):
        number = int(payload[:16])
        self.numbers[number] = self.numbers.get(number, 0) + 1


class Onlooker(Client):
    """QoS 0: hands live values of one device to the oracle."""

    def __init__(self, port, topic, oracle):
        super().__init__(port, "onlooker", topic, 0, True)
        self.oracle, self.seen = oracle, 0

    def took(self, topic, payload):
        self.seen += 1
        self.oracle.live(topic, payload)
