"""A proxy before a broker that records every MQTT packet of every connection, both ways, and does harm.

A record is a dict: `t` (monotonic), `wall` (ms since 1970), `connection`, `from` ("client" or "server"), `packet` and what that
packet holds; the end of a connection is the packet "close" of the side that ended it.
"""

import contextlib
import socket
import struct
import threading
import time

from mqtt_packets import whole

NAMES = {
    1: "connect", 2: "connack", 3: "publish", 4: "puback", 5: "pubrec", 6: "pubrel", 7: "pubcomp",
    8: "subscribe", 9: "suback", 10: "unsubscribe", 11: "unsuback", 12: "pingreq", 13: "pingresp", 14: "disconnect",
}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise ValueError("a packet is cut off")
        self.at += count
        return piece

    def number(self, width):
        return int.from_bytes(self.take(width), "big")

    def blob(self):
        return self.take(self.number(2))

    def varint(self):
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def properties(self):
        """Those of MQTT 5, as {identifier: value}; enough of them for what is looked at."""
        end, found = self.varint(), {}
        end += self.at
        while self.at < end:
            kind = self.number(1)
            if kind in (0x11, 0x18, 0x27, 0x02):
                found[kind] = self.number(4)
            elif kind in (0x21, 0x22, 0x13, 0x23):
                found[kind] = self.number(2)
            elif kind in (0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A):
                found[kind] = self.number(1)
            elif kind == 0x0B:
                found[kind] = self.varint()
            elif kind == 0x26:
                found.setdefault(kind, []).append((self.blob(), self.blob()))
            else:
                found[kind] = self.blob()
        return found

    def rest(self):
        return self.take(len(self.data) - self.at)


def parse(first, body, version):
    """A packet as a dict. `version` is 4 or 5, that of the connection."""
    kind, flags = first >> 4, first & 15
    packet, reader = {"packet": NAMES.get(kind, str(kind))}, Reader(body)
    if kind == 1:
        protocol = reader.blob()
        version, bits = reader.number(1), reader.number(1)
        packet |= {"protocol": protocol, "version": version, "clean": bool(bits & 2), "keep_alive": reader.number(2)}
        packet["properties"] = reader.properties() if version == 5 else {}
        packet["client_id"] = reader.blob().decode()
        if bits & 4:
            will = {"qos": bits >> 3 & 3, "retain": bool(bits & 32)}
            if version == 5:
                will["properties"] = reader.properties()
            will |= {"topic": reader.blob().decode(), "payload": reader.blob()}
            packet["will"] = will
    elif kind == 3:
        packet |= {"qos": flags >> 1 & 3, "retain": bool(flags & 1), "dup": bool(flags & 8)}
        packet["topic"] = reader.blob().decode()
        packet["id"] = reader.number(2) if packet["qos"] else 0
        packet["properties"] = reader.properties() if version == 5 else {}
        packet["payload"] = reader.rest()
    elif kind == 8:
        packet["id"] = reader.number(2)
        packet["properties"] = reader.properties() if version == 5 else {}
        packet["filters"] = []
        while reader.at < len(body):
            packet["filters"].append((reader.blob().decode(), reader.number(1) & 3))
    elif kind == 14:
        packet["reason"] = body[0] if version == 5 and body else 0
    elif kind == 2:
        packet["reason"] = body[1]
    return packet


class Proxy:
    def __init__(self, target, port=0):
        self.target, self.records, self.lock = target, [], threading.Lock()
        self.pairs, self.frozen, self.refusing, self.open = [], threading.Event(), False, True
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.open = False
        self.frozen.clear()
        self.listener.close()
        self.reset()

    def snapshot(self):
        with self.lock:
            return list(self.records)

    def packets(self, kind=None, sender="client"):
        return [r for r in self.snapshot() if r["from"] == sender and kind in (None, r["packet"])]

    def freeze(self, seconds):
        """Nothing passes, in neither direction, and nothing ends."""
        self.frozen.set()
        time.sleep(seconds)
        self.frozen.clear()

    def reset(self):
        """RST to both sides."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.close()

    def _accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing:
                threading.Thread(target=self._refuse, args=(client,), daemon=True).start()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                end.settimeout(0.1)
            with self.lock:
                self.connections += 1
                number = self.connections
                self.pairs.append((client, server))
            state = {"version": 4}
            for source, sink, sender in ((client, server, "client"), (server, client, "server")):
                threading.Thread(target=self._pass, args=(number, state, source, sink, sender), daemon=True).start()

    def _refuse(self, client):
        """Hears who it is and hangs up."""
        with self.lock:
            self.connections += 1
            number = self.connections
        buffer, state = bytearray(), {"version": 4}
        client.settimeout(5)
        with contextlib.suppress(OSError):
            while not any(r["connection"] == number for r in self.snapshot()[-50:]):
                data = client.recv(65536)
                if not data:
                    break
                buffer += data
                self._packets(number, state, "client", buffer)
        self._record(number, "server", {"packet": "close"})
        client.close()

    def _record(self, number, sender, packet):
        with self.lock:
            self.records.append({"t": time.monotonic(), "wall": time.time() * 1000, "connection": number, "from": sender} | packet)

    def _pass(self, number, state, source, sink, sender):
        buffer = bytearray()
        while True:
            try:
                data = source.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                data = b""
            while self.frozen.is_set():
                time.sleep(0.01)
            if not data:
                break
            buffer += data
            # Noted before it is passed on: what answers it is noted behind it.
            self._packets(number, state, sender, buffer)
            try:
                self._send(sink, data)
            except OSError:
                break
        self._record(number, sender, {"packet": "close"})
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.close()

    @staticmethod
    def _send(sink, data):
        view = memoryview(data)
        while view:
            try:
                view = view[sink.send(view) :]
            except TimeoutError:
                continue

    def _packets(self, number, state, sender, buffer):
        end = 0
        for at, begin, end in whole(buffer):
            packet = parse(buffer[at], bytes(buffer[begin:end]), state["version"])
            if packet["packet"] == "connect":
                state["version"] = packet["version"]
            self._record(number, sender, packet)
        del buffer[:end]
