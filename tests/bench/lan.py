"""A publisher on the LAN, in a process of its own: so many messages a second at QoS 1 over one connection, each
with the clock in it as `{"values":{"t0":…}}`."""

import multiprocessing
import socket
import struct
import threading
import time

from field import ticks

# Messages that go out together.
BATCH = 10


class ClockPublisher:
    def __init__(self, port, per_second):
        work = lambda: publish(port, per_second)  # noqa: E731
        self.process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
        self.process.start()

    def close(self):
        self.process.kill()
        self.process.join()


def publish(port, per_second):
    with socket.create_connection(("127.0.0.1", port)) as broker:
        broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        broker.sendall(b"\x10\x11\0\x04MQTT\x04\x02\0\0\0\x05clock")
        assert broker.recv(4)[:2] == b"\x20\x02"
        threading.Thread(target=drink, args=(broker,), daemon=True).start()
        number, due = 0, time.monotonic()
        while True:
            batch = b""
            for _ in range(BATCH):
                number = number % 65535 + 1
                body = b"\0\x08plant/d0" + struct.pack(">H", number) + b'{"values":{"t0":%d}}' % ticks()
                batch += b"\x32" + bytes([len(body)]) + body
            broker.sendall(batch)
            due += BATCH / per_second
            time.sleep(max(0.0, due - time.monotonic()))


def drink(broker):
    """Acknowledgements."""
    while broker.recv(1 << 16):
        pass
