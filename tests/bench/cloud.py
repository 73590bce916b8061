"""The cloud of the loss report: a broker for MQTT 3.1.1 and 5 that writes down what comes before it
acknowledges it, so that its log is the truth even when it is killed. Any topic, QoS 0 to 2. Nothing is passed
on, but a ThingsBoard gateway gets the one answer without which it sends nothing.

    python cloud.py HOST PORT LOG

A line of the log: the topic and the payload, as JSON texts.
"""

import asyncio
import json
import os
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from chaos import packets  # noqa: E402


def thingsboard_answer(topic, payload):
    """What the platform answers to a gateway that asks for its limits: (topic, payload), or None."""
    request = topic.rpartition("v1/devices/me/rpc/request/")[2]
    if request == topic or "getSessionLimits" not in payload:
        return None
    limits = {"maxPayloadSize": 65536, "maxInflightMessages": 100, "rateLimits": {}, "gatewayRateLimits": {}}
    return f"v1/devices/me/rpc/response/{request}", json.dumps(limits)


class Broker(asyncio.Protocol):
    def __init__(self, log):
        self.log, self.buffer, self.version = log, bytearray(), 4

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        lines, answers = [], []
        for first, body in packets(self.buffer):
            self._packet(first, body, lines, answers)
        if lines:
            os.write(self.log, "".join(lines).encode())
        self.transport.write(b"".join(answers))

    def _packet(self, first, body, lines, answers):
        kind = first >> 4
        if kind == 1:
            self.version = body[6]
            answers.append(b"\x20\x03\0\0\0" if self.version == 5 else b"\x20\x02\0\0")
        elif kind == 3:
            lines.append(self._published(first, body, answers))
        elif kind == 6:  # PUBREL
            answers.append(b"\x70\x02" + body[:2])
        elif kind == 8:  # One topic filter per SUBSCRIBE, or as many codes as it has.
            filters = self._filters(body)
            properties = b"\0" if self.version == 5 else b""
            codes = body[:2] + properties + bytes(filters)
            answers.append(b"\x90" + bytes([len(codes)]) + codes)
        elif kind == 10:
            answers.append(b"\xb0\x02" + body[:2] if self.version != 5 else b"\xb0\x04" + body[:2] + b"\0\0")
        elif kind == 12:
            answers.append(b"\xd0\0")
        elif kind == 14:
            self.transport.close()

    def _published(self, first, body, answers):
        qos = (first >> 1) & 3
        end = 2 + struct.unpack_from(">H", body)[0]
        topic = body[2:end].decode()
        if qos:
            answers.append((b"\x40\x02" if qos == 1 else b"\x50\x02") + body[end : end + 2])
            end += 2
        if self.version == 5:
            end += 1 + body[end]  # Less than 128 bytes of properties.
        payload = body[end:].decode(errors="replace")
        if answer := thingsboard_answer(topic, payload):
            name, text = (part.encode() for part in answer)
            rest = struct.pack(">H", len(name)) + name + (b"\0" if self.version == 5 else b"") + text
            answers.append(b"\x30" + bytes([len(rest) & 0x7F | 0x80, len(rest) >> 7]) + rest)
        return json.dumps([topic, payload]) + "\n"

    def _filters(self, body):
        at, found = 2 + (1 + body[2] if self.version == 5 else 0), 0
        while at < len(body):
            at, found = at + 3 + struct.unpack_from(">H", body, at)[0], found + 1
        return found


async def serve(host, port, log):
    log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    server = await asyncio.get_running_loop().create_server(lambda: Broker(log), host, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
