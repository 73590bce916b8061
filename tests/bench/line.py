"""A 9600-baud line: strict slaves behind a pseudo terminal, in a process of their own.

A character takes ten bits of 9600 a second. A request is over after its characters and 3.5 of silence; the answer
comes character by character. A request that begins within 3.5 characters of the last answer is not answered, as
real slaves do, and counted as a violation.
"""

import multiprocessing
import os
import pty
import struct
import time
import tty

CHARACTER = 10 / 9600
PAUSE = 3.5 * CHARACTER
REQUEST = 8


def crc(data):
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


class Line:
    """Answers for every unit of `units`."""

    def __init__(self, values, units):
        self.violations = multiprocessing.Value("L", 0, lock=False)
        self.end, ours = pty.openpty()
        tty.setraw(ours)
        self.path = os.ttyname(ours)
        self.values, self.units, self.kept = values, units, ours
        self.process = multiprocessing.get_context("fork").Process(target=self._serve, daemon=True)
        self.process.start()

    def _serve(self):
        free, buffer = time.monotonic(), b""
        while True:
            # Without a reader for a moment there is nothing to read either.
            try:
                buffer += os.read(self.end, 256)
            except OSError:
                time.sleep(0.01)
                continue
            begun = time.monotonic()
            if begun < free + PAUSE:
                self.violations.value += 1
                buffer = b""
                continue
            while len(buffer) < REQUEST:
                buffer += os.read(self.end, 256)
            request, buffer = buffer[:REQUEST], b""
            free = begun + REQUEST * CHARACTER
            if request[6:] == crc(request[:6]) and request[0] in self.units:
                free = self._answer(request, free + PAUSE)

    def _answer(self, request, start):
        unit, function, address, count = struct.unpack(">BBHH", request[:6])
        self._until(start)
        body = self.values.registers(unit, address, count)
        answer = bytes([unit, function, len(body)]) + body
        answer += crc(answer)
        for number, byte in enumerate(answer, 1):
            self._until(start + number * CHARACTER)
            os.write(self.end, bytes([byte]))
        return start + len(answer) * CHARACTER

    @staticmethod
    def _until(due):
        if (rest := due - time.monotonic()) > 0:
            time.sleep(rest)

    def close(self):
        self.process.kill()
        self.process.join()
        os.close(self.end)
        os.close(self.kept)
