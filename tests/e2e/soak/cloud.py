"""The cloud of the soak: a broker that writes down what it is sent, whole, and acknowledges it then.

`python -m soak.cloud PORT FILE`. A file per life: a kill may leave a torn record at its end, which was
not acknowledged.
"""

import asyncio
import os
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from chaos import packets  # noqa: E402

HEAD = struct.Struct(">IH")  # Bytes that follow, bytes of the topic.


class Broker(asyncio.Protocol):
    """MQTT 3.1.1 and 5: takes QoS 0 and 1, sends nothing."""

    def __init__(self, log):
        self.log, self.buffer, self.version = log, bytearray(), 4

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        records, answers = [], []
        for first, body in packets(self.buffer):
            kind = first >> 4
            if kind == 1:
                self.version = body[6]
                answers.append(b"\x20\x02\0\0" if self.version == 4 else b"\x20\x03\0\0\0")
            elif kind == 3:
                end = 2 + struct.unpack_from(">H", body)[0]
                topic = body[2:end]
                if first >> 1 & 3:
                    answers.append(b"\x40\x02" + body[end : end + 2])
                    end += 2
                if self.version == 5:
                    length = body[end]
                    if length > 127:
                        raise ValueError("properties of more than 127 bytes")
                    end += 1 + length
                records.append(HEAD.pack(len(topic) + len(body) - end, len(topic)) + topic + body[end:])
            elif kind == 8:
                filters = body[2 if self.version == 4 else 3 + body[2] :].count(b"/set") or 1
                answers.append(bytes([0x90, 2 + filters + (self.version == 5)]) + body[:2] + b"\0" * (self.version == 5) + b"\1" * filters)
            elif kind == 12:
                answers.append(b"\xd0\0")
            elif kind == 14:
                self.transport.close()
            else:
                raise ValueError(f"packet of kind {kind}")
        whole = memoryview(b"".join(records))
        while whole:
            whole = whole[os.write(self.log, whole) :]
        self.transport.write(b"".join(answers))


def records(file, offset):
    """Whole records from `offset` on as (topic, payload, offset behind it)."""
    with open(file, "rb") as log:
        log.seek(offset)
        data = log.read()
    at = 0
    while at + HEAD.size <= len(data):
        length, topic = HEAD.unpack_from(data, at)
        end = at + HEAD.size + length
        if end > len(data):
            break
        begin = at + HEAD.size
        yield data[begin : begin + topic].decode(), data[begin + topic : end], offset + end
        at = end


async def serve(port, file):
    log = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    server = await asyncio.get_running_loop().create_server(lambda: Broker(log), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
