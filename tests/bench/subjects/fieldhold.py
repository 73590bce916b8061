"""Fieldhold: as a gateway with devices, and as a LAN broker with an uplink."""

import json
import os
import pathlib
import signal

from measure import ROOT, said
from subjects.base import Subject, grouped

BINARY = pathlib.Path(os.environ.get("FIELDHOLD_BIN", ROOT / "target/release/fieldhold"))


class Fieldhold(Subject):
    name = "Fieldhold"
    window = 0.1
    settings = "`mode: safe` (docs/durability.md), `payload: group`, all else as it comes"
    mode = "safe"

    @classmethod
    def install(cls):
        if not BINARY.exists():
            raise SystemExit(f"{BINARY} is missing: cargo build --release, or FIELDHOLD_BIN")
        # The newest that was there when it was built.
        until = f"--until={BINARY.stat().st_mtime:.0f}"
        commit = said("git", "-C", BINARY.resolve().parent, "log", "-1", "--format=%h", until)
        return f"{said(BINARY, '--version')} ({BINARY.parent.name} profile, commit {commit})"

    def configure(self):
        (self.directory / "fieldhold.yaml").write_text(self.text())

    def text(self):
        buses = dict((self._bus(d), self._link(d)) for d in self.devices)
        lines = ["gateway: { name: bench }", "buses:" if buses else ""]
        lines += [f"  {bus}: {link}" for bus, link in buses.items()]
        lines += ["devices:"] if buses else []
        for d in self.devices:
            lines += [f"  {d.name}:", f"    bus: {self._bus(d)}", f"    unit: {d.unit}"]
            lines += [f"    every: {self.every_ms[d.name]}ms", "    tags:"]
            lines += [f"      t{t}: {{ holding: {2 * t}, type: u32 }}" for t in range(d.tags)]
        return "\n".join(lines) + f"""
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{self.lan}" }} ] }}
uplinks:
  cloud:
    url: "mqtt://{self.host}:{self.cloud}"
    send: [ "#" ]
    payload: group
store: {{ path: state, mode: {self.mode} }}
web: off
"""

    @staticmethod
    def _bus(device):
        return "line" if device.line else f"tcp{device.port}"

    @staticmethod
    def _link(device):
        if device.line:
            return f"{{ modbus-rtu: {{ port: {device.line}, baud: 9600, parity: none, stop-bits: 1 }} }}"
        return f"{{ modbus-tcp: {{ host: 127.0.0.1, port: {device.port} }} }}"

    def command(self):
        return [BINARY, "run", self.directory / "fieldhold.yaml"], None

    def apply(self):
        self.process.signal(signal.SIGHUP)

    def buffer(self):
        return [f for f in super().buffer() if ".db" in f.name and "quarantine" not in f.parts]

    def values(self, topic, payload):
        body = json.loads(payload)
        if "rows" not in body:
            return grouped(payload)
        found = []
        for row in body["rows"]:
            column = 0
            for cell in row[2:]:
                if cell is None or isinstance(cell, dict) and "n" in cell:
                    column += cell["n"] if cell else 1
                    continue
                value = cell.get("v") if isinstance(cell, dict) else cell
                found.append((int(body["tags"][column].rsplit("/t", 1)[1]), value))
                column += 1
        return found

    def told(self, topic, payload):
        """Gaps, less what was salvaged of them."""
        body = json.loads(payload)
        return {"gap": 1, "salvaged": -1}.get(body.get("notice"), 0) * body.get("n", 0)


class FieldholdDefault(Fieldhold):
    name = "Fieldhold, default"
    window = 1.0
    settings = "the same with `mode: balanced`, as it comes: a crash loses at most the last second"
    mode = "balanced"


class FieldholdLan(Fieldhold):
    name = "Fieldhold, LAN broker"
    polls = False
    settings = "`mode: safe`; a publisher is answered after the commit"
    # What a publisher was told is safe is on the disk.
    window = 0.0

    def __init__(self, directory, devices, cloud, host="127.0.0.1"):
        super().__init__(directory, [], cloud, host)

    def edit(self):
        """There are no devices: another option of the uplink."""
        file = self.directory / "fieldhold.yaml"
        file.write_text(file.read_text().replace("payload: group", "payload: group\n    window: { messages: 50 }"))
        self.apply()

    def values(self, topic, payload):
        return [] if "notice" in json.loads(payload) else grouped(payload)
