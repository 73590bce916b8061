"""The device side, the same for every subject: a Modbus TCP server whose tags are u32 values (ABCD) in the
holding registers 2t and 2t + 1.

`Clock`: every tag is the time of the answer in tenths of a millisecond, so that a receiver on the same machine
knows how old a value is. `Count`: every tag is its own number and how often it has been read, so that every
reading of every tag is known by its value: what is missing was lost, what nobody served is wrong.
"""

import asyncio
import multiprocessing
import struct
import threading
import time


def ticks():
    """Tenths of a millisecond, 32 bits: it goes round once in five days."""
    return (time.time_ns() // 100_000) & 0xFFFF_FFFF


class Clock:
    """Counts in memory that processes share."""

    def __init__(self):
        self.requests, self.readings = (multiprocessing.Value("L", 0, lock=False) for _ in range(2))

    def registers(self, unit, address, count):
        self.requests.value += 1
        self.readings.value += count // 2
        # A pair is never read by half; every pair is the same.
        words = struct.pack(">I", ticks()) * ((count + 2) // 2)
        return words[2 * (address & 1) :][: 2 * count]


class Count:
    """Value `n` of tag `t` is `t << 24 | n`, and was served at `served[t][n - 1]`."""

    def __init__(self, tags):
        self.served = [[] for _ in range(tags)]

    def registers(self, unit, address, count):
        now = time.monotonic()
        words = b""
        for tag in range(address // 2, (address + count + 1) // 2):
            self.served[tag].append(now)
            words += struct.pack(">I", tag << 24 | len(self.served[tag]))
        return words[2 * (address & 1) :][: 2 * count]


class Server(asyncio.Protocol):
    def __init__(self, values):
        self.values, self.buffer = values, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while len(self.buffer) >= 12:
            tid, _, length, unit, function, address, count = struct.unpack_from(">HHHBBHH", self.buffer)
            self.buffer = self.buffer[6 + length :]
            if function not in (3, 4) or not 1 <= count <= 125:
                self.transport.write(struct.pack(">HHHBBB", tid, 0, 3, unit, function | 0x80, 1))
                continue
            body = self.values.registers(unit, address, count)
            self.transport.write(struct.pack(">HHHBBB", tid, 0, len(body) + 3, unit, function, len(body)) + body)


async def _serve(values, count, ports):
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: Server(values), "127.0.0.1", 0) for _ in range(count)]
    ports([s.sockets[0].getsockname()[1] for s in servers])
    await asyncio.Event().wait()


class ClockField:
    """So many servers, in a process of their own: the subscriber's work must not delay them."""

    def __init__(self, clock, count):
        ours, theirs = multiprocessing.Pipe()
        work = lambda: asyncio.run(_serve(clock, count, theirs.send))  # noqa: E731
        self.process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
        self.process.start()
        self.ports = ours.recv()

    def close(self):
        self.process.kill()
        self.process.join()


class CountField:
    """One server in a thread; what it served is read here."""

    def __init__(self, tags):
        self.values, started = Count(tags), threading.Event()

        def ready(ports):
            self.ports = ports
            started.set()

        threading.Thread(target=lambda: asyncio.run(_serve(self.values, 1, ready)), daemon=True).start()
        if not started.wait(10):
            raise AssertionError("the field did not start")

    @property
    def served(self):
        return self.values.served
