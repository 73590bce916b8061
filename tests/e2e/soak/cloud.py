"""The cloud of the soak: a broker that writes down what it is sent, whole, and acknowledges it then.

`python -m soak.cloud PORT FILE`. A file per life: a kill may leave a torn record at its end, which was
not acknowledged.
"""

import asyncio
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from ledger import Ledger, serve  # noqa: E402

HEAD = struct.Struct(">IH")  # Bytes that follow, bytes of the topic.


class Broker(Ledger):
    def record(self, first, topic, payload):
        return HEAD.pack(len(topic) + len(payload), len(topic)) + topic + payload


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


if __name__ == "__main__":
    asyncio.run(serve(Broker, sys.argv[2], int(sys.argv[1])))
