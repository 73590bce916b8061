"""Every payload form of an uplink, read by what others wrote: cbor2, zlib, json, and parsers that follow
the standards (docs/payloads.md). All uplinks of one gateway send the same readings; that in the form
`tag` says what the others must hold."""

import base64
import json
import signal
import re
import zlib

import cbor2
import paho.mqtt.client as mqtt
from conftest import BACK_ONLINE, Gateway, Mosquitto, Recorder, wait_for
from plant import CountingDevice

FORMS = ["group", "columnar", "cbor", "line-protocol", "senml-json", "senml-cbor", "thingsboard"]
# `check` refuses what the service could not read.
UNDEFLATED = ["thingsboard"]
TEMPLATE = '{"id":"{id}","x":{value},"at":{time},"of":"{device}/{tag}","q":"{quality}"}'


def config(device, cloud, port):
    uplinks = "\n".join(
        f'  {form}: {{ url: "mqtt://127.0.0.1:{cloud}", prefix: {form}, payload: {form}, '
        f"backlog: {{ payload: {form}, deflate: {str(form not in UNDEFLATED).lower()} }}, notices: off }}"
        for form in ["tag", *FORMS]
    )
    return f"""
gateway: {{ name: gw, site: s }}
buses:
  line: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device} }} }}
  dead: {{ modbus-tcp: {{ host: 127.0.0.1, port: {port} }} }}
devices:
  meter:
    bus: line
    every: 100ms
    tags:
      count: {{ holding: 0, type: u32 }}
      level: {{ holding: 10, type: i16, scale: 0.1, unit: °C }}
      Öl: {{ holding: 12, type: u64 }}
      raw: {{ holding: 20, type: raw:2 }}
      pair: {{ holding: 30, type: u16, count: 2 }}
  gone:
    bus: dead
    every: 300ms
    timeout: 100ms
    tags: {{ away: {{ holding: 0, type: u16 }} }}
uplinks:
{uplinks}
  plain: {{ url: "mqtt://127.0.0.1:{cloud}", prefix: plain, payload: plain, notices: off }}
  own: {{ url: "mqtt://127.0.0.1:{cloud}", prefix: own, payload: {{ template: '{TEMPLATE}' }}, topic: "{{uplink}}/{{class}}/{{device}}/{{tag}}", notices: off }}
store: {{ path: state }}
"""


EVERY_TAG = {("meter", tag) for tag in ("count", "level", "Öl", "raw", "pair")} | {("gone", "away")}
DEFLATED = b"\x78\x9c"


def keyed(key, offset):
    prefix, position = key.rsplit("-", 1)
    return f"{prefix}-{int(position) + offset}"


def inflated(payload):
    """A backlog is known by its first bytes, whatever its topic."""
    return zlib.decompress(payload) if payload[:2] == DEFLATED else payload


def of_tag(message):
    body = json.loads(inflated(message.payload))
    device, tag = message.topic.split("/")[-2:]
    yield body["id"], (device, tag), body["ts"], body["v"], body.get("q")


def of_group(payload):
    body = json.loads(payload)
    offsets = body.get("at") or range(len(body["values"]))
    for offset, (tag, value) in zip(offsets, body["values"].items(), strict=True):
        yield keyed(body["id"], offset), (body["device"], tag), body["ts"], value, body.get("q", {}).get(tag)


def of_columns(body):
    for dt, seq, *cells in body["rows"]:
        column = 0
        for cell in cells:
            if cell is None or isinstance(cell, dict) and "n" in cell:
                column += cell["n"] if cell else 1
                continue
            value, quality = (cell.get("v"), cell["q"]) if isinstance(cell, dict) else (cell, None)
            tag = tuple(body["tags"][column].split("/")[-2:])
            yield f"{body['id']}-{seq}", tag, body["ts"] + dt, value, quality
            seq, column = seq + 1, column + 1


def of_lines(payload):
    for line in payload.decode().splitlines():
        head, stamp = line.rsplit(" ", 1)
        device, fields = head.split(" ", 1)
        parsed = {}
        for name, value in re.findall(r'([^,=]+)=("(?:[^"\\]|\\.)*"|[^,]*)', fields):
            if value.startswith('"'):
                parsed[name] = re.sub(r"\\(.)", r"\1", value[1:-1])
            elif value[-1] in "iu":
                parsed[name] = int(value[:-1])
            else:
                parsed[name] = {"true": True, "false": False}.get(value, None) if value in ("true", "false") else float(value)
        key, offset, tags = parsed.pop(":id"), 0, {}
        for name, value in parsed.items():
            tag, _, part = name.partition(":")
            known = tags.setdefault(tag, {})
            if part.isdigit():
                known.setdefault("v", []).append(value)
            else:
                known["q" if part == "q" else "v"] = value
        for tag, known in tags.items():
            assert int(stamp) % 1_000_000 == 0
            yield keyed(key, offset), (device, tag), int(stamp) // 1_000_000, known.get("v"), known.get("q")
            offset += 1


LABELS = {-2: "bn", -3: "bt", 0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 6: "t", 8: "vd"}


def of_senml(pack):
    """RFC 8428, 4.6: resolves a pack; lists come together again by their keys."""
    base, time, last, lists = "", 0, None, {}
    for record in pack:
        base, time = record.get("bn", base), record.get("bt", time)
        last = record.get("id") or keyed(last, 1)
        name = base + record["n"]
        assert re.fullmatch(r"[A-Za-z0-9][-A-Za-z0-9:./_]*", name), name
        values = [record[label] for label in ("v", "vs", "vb", "vd") if label in record]
        assert len(values) == 1, record
        name = re.sub(r":([0-9a-f]{2,}):", lambda m: chr(int(m[1], 16)), name)
        ts, value, quality = round(1000 * (time + record.get("t", 0))), values[0], record.get("q")
        if name.endswith(":q"):
            name, value, quality = name[:-2], None, value
        element = re.search(r":(\d)$", name)
        if element:
            lists.setdefault(last, []).append(value)
            name, value = name[: element.start()], lists[last]
            if len(value) < 2:
                continue
        yield last, tuple(name.split("/")[-2:]), ts, value, quality


def of_board(payload):
    for device, moments in json.loads(payload).items():
        for moment in moments:
            values = moment["values"]
            for name in {name.removesuffix(":q") for name in values}:
                yield None, (device, name), moment["ts"], values.get(name), values.get(f"{name}:q")


def decoded(form, payload):
    if form == "group":
        return list(of_group(payload))
    if form in ("columnar", "cbor"):
        return list(of_columns(json.loads(payload) if form == "columnar" else cbor2.loads(payload)))
    if form == "line-protocol":
        return list(of_lines(payload))
    if form == "senml-json":
        return list(of_senml(json.loads(payload)))
    if form == "senml-cbor":
        return list(of_senml([{LABELS.get(k, k): v for k, v in r.items()} for r in cbor2.loads(payload)]))
    return list(of_board(payload))


def plainly(form, tag, value):
    """A value as `tag` has it: bytes are hex texts there."""
    if isinstance(value, bytes):
        return value.hex()
    if form == "senml-json" and tag == "raw" and value is not None:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
    return value


def compared(form, readings, truth, by_moment):
    """How many readings were compared with what `tag` said of the same key, or device, tag and moment."""
    found = 0
    for key, tag, ts, value, quality in readings:
        want = truth.get(key) if key else by_moment.get((tag, ts))
        if want is None:
            continue
        assert (tag, ts, plainly(form, tag[1], value), quality) == want, (form, key)
        found += 1
    return found


def test_every_form_says_the_same(tmp_path, started):
    device = started(CountingDevice())
    nobody = started(CountingDevice())
    nobody.close()
    cloud = started(Mosquitto(tmp_path / "cloud"))
    recorder = started(Recorder(cloud.port))
    gateway = started(Gateway(tmp_path / "gw", config(device.port, cloud.port, nobody.port)))

    def said():
        truth = {}
        for message in list(recorder.messages):
            if message.topic.startswith("tag/"):
                truth.update({key: rest for key, *rest in of_tag(message)})
        return {key: tuple(rest) for key, rest in truth.items()}

    def checked(form, minimum=60):
        truth = said()
        by_moment = {rest[:2]: rest for rest in truth.values()}
        sent = [m for m in list(recorder.messages) if m.topic.startswith(form + "/") and not m.topic.endswith("/connect")]
        readings = [r for m in sent for r in decoded(form, inflated(m.payload))]
        enough = compared(form, readings, truth, by_moment) >= minimum
        return enough and {tag for _, tag, *_ in readings} == EVERY_TAG

    for form in FORMS:
        wait_for(lambda form=form: checked(form), 40, f"60 readings as {form}")
    values = {rest[0]: rest for rest in said().values()}
    assert values[("gone", "away")][2] is None and values[("gone", "away")][3].startswith("bad:")
    assert values[("meter", "Öl")][2] > 2**53

    # One reading to a message, under its own topic.
    plain = wait_for(lambda: recorder.on("plain/s/gw/meter/level"))[-1]
    assert float(plain.payload) == values[("meter", "level")][2]

    def own():
        truth, found = said(), 0
        for message in recorder.on("own/own/normal/meter/level"):
            body = json.loads(message.payload)
            if body["id"] in truth:
                assert (tuple(body["of"].split("/")), body["at"], body["x"]) == truth[body["id"]][:3]
                assert body["q"] == "good"
                found += 1
        return found

    wait_for(own, 40, "a reading in the template's form")

    # The same for what waited, deflated, where many readings share a topic.
    cloud.kill()
    gateway.wait(lambda s: all(u["waiting"] > 300 for u in s["uplinks"].values()), 60, "a backlog")
    recorder.close()
    gateway.signal(signal.SIGSTOP)  # the recorder must hear everything
    cloud.start()
    recorder = started(Recorder(cloud.port))
    gateway.signal(signal.SIGCONT)
    for form in ["tag", *FORMS]:
        topic = {"thingsboard": "thingsboard/v1/gateway/telemetry", "group": "group/s/gw/meter", "tag": "tag/s/gw/meter/count"}
        topic = topic.get(form, f"{form}/s/gw/backlog")

        def backlog(form=form, topic=topic):
            return [m.payload for m in recorder.on(topic) if (m.payload[:2] == DEFLATED) == (form not in UNDEFLATED)]

        payloads = wait_for(backlog, BACK_ONLINE, f"a backlog as {form}")
        if form != "tag":
            assert list(decoded(form, inflated(payloads[0]))), form
        else:
            assert json.loads(zlib.decompress(payloads[0]))["id"]
