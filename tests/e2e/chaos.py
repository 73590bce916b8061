"""What the chaos test stands on: a broker that writes down what it acknowledged, a line with delay and
faults, and a source on the LAN that knows what it was told is safe."""

import asyncio
import contextlib
import pathlib
import socket
import struct
import sys
import threading
import time

from ledger import Ledger, serve
from mqtt_packets import packets

KEY = 16  # Bytes at the beginning of every payload: its number.


class Broker(Ledger):
    """Takes QoS 1 and first sendings alone, and writes down the numbers."""

    def record(self, first, topic, payload):
        if (first >> 1) & 3 != 1 or first & 8:
            raise ValueError(f"not a first sending at QoS 1: {first:#x}")
        return payload[:KEY]


class Wire:
    """A relay in a thread of its own: delays, falls silent, resets."""

    def __init__(self, port, to, rtt):
        self.port, self.to, self.delay = port, to, rtt / 2
        self.silent_until = 0.0
        self.pairs = set()
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        threading.Thread(target=self._run, args=(started,), daemon=True).start()
        if not started.wait(10):
            raise AssertionError("the relay did not start")

    def _run(self, started):
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(asyncio.start_server(self._pair, "127.0.0.1", self.port))
        started.set()
        self.loop.run_forever()

    async def _pair(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, far_writer)
        self.pairs.add(pair)
        ways = [self._way(reader, far_writer), self._way(far_reader, writer)]
        await asyncio.gather(*ways, return_exceptions=True)
        self.pairs.discard(pair)

    async def _way(self, reader, writer):
        queue = asyncio.Queue(4096)

        async def take():
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    await queue.put((time.monotonic() + self.delay, data))
            await queue.put((time.monotonic() + self.delay, b""))

        taking = asyncio.ensure_future(take())
        try:
            while True:
                due, data = await queue.get()
                while (wait := max(due, self.silent_until) - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            taking.cancel()
            writer.close()

    def silence(self, seconds):
        """Nothing passes; what is sent meanwhile comes afterwards, or is lost with a reset."""
        self.silent_until = time.monotonic() + seconds

    def reset(self):
        """RST to both sides: what is on its way is lost."""

        def abort():
            for pair in list(self.pairs):
                for writer in pair:
                    with contextlib.suppress(OSError):
                        linger = struct.pack("ii", 1, 0)
                        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.transport.abort()

        self.loop.call_soon_threadsafe(abort)

    def close(self):
        async def end():
            self.server.close()
            ways = asyncio.all_tasks() - {asyncio.current_task()}
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self.loop)


class Source(threading.Thread):
    """A client on the LAN: publishes numbered messages at QoS 1 and sends again what was not
    acknowledged. `safe` are the numbers that it was told are safe."""

    UNACKED = 400

    def __init__(self, port, size, rate):
        super().__init__(daemon=True)
        self.port, self.size, self.rate = port, size, rate
        self.safe, self.again = set(), 0
        self.todo, self.next = [], 0
        self.stopping = False

    def run(self):
        while not self.stopping:
            try:
                self.session()
            except OSError:
                time.sleep(0.1)

    def session(self):
        out, buffer, identifier = {}, bytearray(), 0
        filler = b"x" * (self.size - KEY)
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
            s.sendall(b"\x10\x12\0\x04MQTT\x04\x02\0\0\0\x06source")
            if s.recv(4)[:1] != b"\x20":
                raise OSError("no CONNACK")
            s.settimeout(0.02)
            since, sent = time.monotonic(), 0
            try:
                while not self.stopping or out:
                    room = self.UNACKED - len(out) if self.size < 1000 else 8 - len(out)
                    room = min(room, int((time.monotonic() - since) * self.rate) - sent)
                    batch = []
                    for _ in range(0 if self.stopping else max(0, room)):
                        number = self.todo.pop() if self.todo else self.next
                        self.next += number == self.next
                        identifier = identifier % 65535 + 1
                        out[identifier] = number
                        body = b"\0\x07chaos/x" + struct.pack(">H", identifier) + b"%016d" % number + filler
                        length, size = b"", len(body)
                        while True:
                            size, low = size >> 7, size & 0x7F
                            length += bytes([low | 0x80 if size else low])
                            if not size:
                                break
                        batch.append(b"\x32" + length + body)
                    if batch:
                        s.settimeout(10)
                        s.sendall(b"".join(batch))
                        s.settimeout(0.02)
                        sent += len(batch)
                    with contextlib.suppress(TimeoutError):
                        data = s.recv(65536)
                        if not data:
                            raise OSError("closed")
                        buffer += data
                    for first, body in packets(buffer):
                        if first >> 4 == 4:
                            self.safe.add(out.pop(struct.unpack(">H", body[:2])[0]))
            finally:
                self.again += len(out)
                self.todo.extend(out.values())


def received(log):
    """The numbers in a broker's log, in order of arrival."""
    data = pathlib.Path(log).read_bytes()
    return [int(data[at : at + KEY]) for at in range(0, len(data) - KEY + 1, KEY)]


if __name__ == "__main__":
    asyncio.run(serve(Broker, sys.argv[2], int(sys.argv[1])))
