"""A raw MQTT 3.1.1 subscriber at QoS 0: stamps each piece that it receives and parses afterwards, so that its own
slowness does not count."""

import socket
import struct
import threading

from field import ticks
from mqtt_packets import whole


class Subscriber:
    def __init__(self, port, topic="#"):
        self.pieces = []
        self.socket = socket.create_connection(("127.0.0.1", port))
        connect = b"\x00\x04MQTT\x04\x02\x00\x00\x00\x0asubscriber"
        subscribe = b"\x00\x01" + struct.pack(">H", len(topic)) + topic.encode() + b"\x00"
        self.socket.sendall(b"\x10" + bytes([len(connect)]) + connect)
        assert self._exactly(4) == b"\x20\x02\x00\x00"
        self.socket.sendall(b"\x82" + bytes([len(subscribe)]) + subscribe)
        assert self._exactly(5)[0] == 0x90
        threading.Thread(target=self._take, daemon=True).start()

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            data += self.socket.recv(count - len(data))
        return data

    def _take(self):
        try:
            while piece := self.socket.recv(1 << 18):
                self.pieces.append((ticks(), piece))
        except OSError:
            pass  # closed by us

    def clear(self):
        """Forgets when it came what has come; a packet that is cut in two here is skipped when parsing."""
        self.pieces = [(0, b"".join(piece for _, piece in self.pieces))]

    def received(self):
        """Bytes until now."""
        return sum(len(piece) for _, piece in list(self.pieces))

    def messages(self):
        """(arrived, retained, topic, payload) of every PUBLISH since the last clear()."""
        pieces = list(self.pieces)
        data, ends, at = b"".join(piece for _, piece in pieces), [], 0
        for stamp, piece in pieces:
            at += len(piece)
            ends.append((at, stamp))
        index = 0
        for position, body, end in whole(data):
            while ends[index][0] < end:
                index += 1
            if data[position] >> 4 == 3 and ends[index][1]:
                topic = struct.unpack_from(">H", data, body)[0]
                name = data[body + 2 : body + 2 + topic].decode()
                yield ends[index][1], bool(data[position] & 1), name, data[body + 2 + topic : end]

    def close(self):
        self.socket.close()
