"""A broker that writes down what it is sent before it acknowledges it: its log is the truth, even when it is killed.

MQTT 3.1.1 and 5, any topic, QoS 0 to 2. Nothing is passed on. What the log gets of a message, and what is answered
to it besides, is the matter of who uses it.
"""

import asyncio
import os
import struct

from mqtt_packets import number, packets

CONNECT, PUBLISH, PUBREL, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 6, 8, 10, 12, 14


class Ledger(asyncio.Protocol):
    def __init__(self, log):
        self.log, self.buffer, self.version = log, bytearray(), 4

    def record(self, first, topic, payload):
        """What is written of a PUBLISH with this first byte."""
        raise NotImplementedError

    def reply(self, topic, payload):
        """What is published to the sender for it, as (topic, payload); None for nothing."""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        records, answers = [], []
        for first, body in packets(self.buffer):
            self._take(first, body, records, answers)
        rest = memoryview(b"".join(records))
        while rest:
            rest = rest[os.write(self.log, rest) :]
        self.transport.write(b"".join(answers))

    def _take(self, first, body, records, answers):
        kind, is_5 = first >> 4, self.version == 5
        if kind == CONNECT:
            self.version = body[6]
            answers.append(b"\x20\x03\0\0\0" if self.version == 5 else b"\x20\x02\0\0")
        elif kind == PUBLISH:
            end = 2 + struct.unpack_from(">H", body)[0]
            topic, qos = body[2:end], first >> 1 & 3
            if qos:
                answers.append((b"\x40\x02" if qos == 1 else b"\x50\x02") + body[end : end + 2])
                end += 2
            payload = body[self._behind_properties(body, end) :]
            records.append(self.record(first, topic, payload))
            if reply := self.reply(topic, payload):
                answers.append(self._publish(*reply))
        elif kind == PUBREL:
            answers.append(b"\x70\x02" + body[:2])
        elif kind in (SUBSCRIBE, UNSUBSCRIBE):
            filters = self._filters(body, options=kind == SUBSCRIBE)
            codes = b"" if kind == UNSUBSCRIBE and not is_5 else bytes(filters)
            answers.append(self._packet(kind << 4 | 0x10, body[:2] + b"\0" * is_5 + codes))
        elif kind == PINGREQ:
            answers.append(b"\xd0\0")
        elif kind == DISCONNECT:
            self.transport.close()
        else:
            raise ValueError(f"packet of kind {kind}")

    def _behind_properties(self, body, at):
        if self.version != 5:
            return at
        length, at = number(body, at)
        return at + length

    def _filters(self, body, options):
        at, found = self._behind_properties(body, 2), 0
        while at < len(body):
            at, found = at + 2 + struct.unpack_from(">H", body, at)[0] + options, found + 1
        return found

    def _publish(self, topic, payload):
        return self._packet(0x30, struct.pack(">H", len(topic)) + topic + b"\0" * (self.version == 5) + payload)

    @staticmethod
    def _packet(first, body):
        length, digits = len(body), bytearray()
        while length > 127:
            digits.append(length & 127 | 128)
            length >>= 7
        return bytes([first, *digits, length]) + body


async def serve(ledger, log, port, host="127.0.0.1"):
    """Takes connections for ever; each gets a `ledger` of its own, and all write to one file."""
    log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    server = await asyncio.get_running_loop().create_server(lambda: ledger(log), host, port)
    await server.serve_forever()
