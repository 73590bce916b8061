"""Known to be bad: a gateway that takes what it has written to a socket for delivered.

The harness must show it as one that loses; a test asserts that. It is its own program:

    python bad.py FIELD_PORT TAGS EVERY_MS CLOUD_PORT CLOUD_HOST DATABASE
"""

import contextlib
import json
import os
import pathlib
import socket
import sqlite3
import struct
import sys
import threading
import time

if __name__ != "__main__":
    from subjects.base import Subject, grouped

    class Bad(Subject):
        name = "known to be bad"
        settings = "deletes a reading when it has published it"

        @classmethod
        def install(cls):
            return "of this tree"

        def configure(self):
            pass

        def command(self):
            (device,) = self.devices
            arguments = [device.port, device.tags, self.every_ms[device.name], self.cloud, self.host, self.state / "queue.db"]
            return [sys.executable, pathlib.Path(__file__), *arguments], dict(os.environ)

        def values(self, topic, payload):
            return grouped(payload)


def read(field, tags):
    field.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, 2 * tags))
    answer = b""
    while len(answer) < 9 + 4 * tags:
        answer += field.recv(1024)
    return {f"t{t}": struct.unpack_from(">I", answer, 9 + 4 * t)[0] for t in range(tags)}


def connect(port, host):
    cloud = socket.create_connection((host, port), timeout=5)
    cloud.sendall(b"\x10\x0f\0\x04MQTT\x04\x02\0\0\0\x03bad")
    if cloud.recv(4)[:1] != b"\x20":
        raise OSError("no CONNACK")
    return cloud


def publish(port, host, database):
    queue, cloud = sqlite3.connect(database), None
    while True:
        for number, payload in queue.execute("select rowid, payload from queue order by rowid").fetchall():
            while True:
                with contextlib.suppress(OSError):
                    cloud = cloud or connect(port, host)
                    body = b"\0\x05bench" + payload.encode()
                    length = bytes([len(body) & 0x7F | 0x80, len(body) >> 7])
                    cloud.sendall(b"\x30" + length + body)
                    break
                cloud = None
                time.sleep(0.2)
            # The fault: nobody has said that it arrived.
            queue.execute("delete from queue where rowid = ?", (number,))
            queue.commit()
        time.sleep(0.05)


def run(port, tags, every_ms, cloud_port, cloud_host, database):
    queue = sqlite3.connect(database)
    queue.execute("create table if not exists queue (payload text)")
    threading.Thread(target=publish, args=(cloud_port, cloud_host, database), daemon=True).start()
    field = socket.create_connection(("127.0.0.1", port))
    while True:
        queue.execute("insert into queue values (?)", (json.dumps({"values": read(field, tags)}),))
        queue.commit()
        time.sleep(every_ms / 1000)


if __name__ == "__main__":
    run(*map(int, sys.argv[1:5]), *sys.argv[5:])
