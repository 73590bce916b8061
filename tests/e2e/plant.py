"""A Modbus TCP device that is its own oracle: it counts what it answered, value by value.

Register 0-1 (u32, ABCD) of either table holds a counter that grows by one with every read that was
answered completely, so every value is served once and a lost, repeated or wrong one is seen.
Register r > 1 holds `r * 7 + 1`. Writes to holding registers 100..199 are kept and read back.
"""

import socket
import struct
import threading
import time


class CountingDevice:
    def __init__(self, port=0, unit=1, delay=0.0):
        self.unit, self.delay = unit, delay
        self.served = 0  # values 1..served have been answered
        self.served_at = []  # when, by time.monotonic()
        self.writes = []
        self.requests = []  # the function of every write
        self.kept = {}
        self.talking = 0  # connections that are not at their end; one of a dead peer may still hold requests
        self.alive = True
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.alive = False
        self.listener.close()

    def _accept(self):
        while self.alive:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with self.lock:
            self.talking += 1
        try:
            self._exchange(peer)
        except OSError:
            pass  # the gateway was killed
        finally:
            with self.lock:
                self.talking -= 1

    def _exchange(self, peer):
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = peer.makefile("rb")
        while self.alive:
            header = stream.read(7)
            if len(header) < 7:
                return
            tid, _, length, unit = struct.unpack(">HHHB", header)
            pdu = stream.read(length - 1)
            if len(pdu) < length - 1 or unit != self.unit:
                continue
            answer = self._answer(pdu)
            peer.sendall(struct.pack(">HHHB", tid, 0, len(answer) + 1, unit) + answer)

    def _answer(self, pdu):
        function, address, count = struct.unpack(">BHH", pdu[:5])
        with self.lock:
            if function in (3, 4):
                if address == 0 and count >= 2:
                    self.served += 1
                    self.served_at.append(time.monotonic())
                words = [self._word(address + i) for i in range(count)]
                return struct.pack(f">BB{count}H", function, 2 * count, *words)
            if function in (6, 16):
                self.requests.append(function)
            if function == 6:
                self.writes.append((address, count))
                self.kept[address] = count
                return pdu
            if function == 16:
                for i, word in enumerate(struct.unpack(f">{count}H", pdu[6 : 6 + 2 * count])):
                    self.kept[address + i] = word
                    self.writes.append((address + i, word))
                return pdu[:5]
        return struct.pack(">BB", function | 0x80, 1)

    def _word(self, register):
        if register == 0:
            return self.served >> 16
        if register == 1:
            return self.served & 0xFFFF
        return self.kept.get(register, (register * 7 + 1) & 0xFFFF)
