"""What the page asks of the field, the broker and the system, of a gateway that polls meanwhile."""

import io
import json
import subprocess
import tarfile
import threading

import paho.mqtt.publish as publish

from conftest import BINARY, Gateway, Mosquitto, Process, Recorder, free_port, listening, wait_for
from page import Page
from plant import CountingDevice
from test_simulate import Simulator
from test_trace import RTU, tshark
from test_values import pymodbus

SECRETS = {"uplink.password": "Tr0ub4dor-cloud", "page": "c0rrect-horse-page", "lan": "p1ain-lan-pass"}


def config(buses, devices, more=""):
    page, lan = free_port(), free_port()
    text = f"""
gateway: {{ name: edge, site: works }}
buses:
{buses}
devices:
{devices}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan}" }} ] }}
store: {{ path: state, commit: 100ms }}
web: {{ listen: "127.0.0.1:{page}", tls: off }}
{more}
"""
    return text, page, lan


def on_tcp(tmp_path, started):
    """A gateway that polls a pymodbus server: see test_values for what its registers hold."""
    port = free_port()
    pymodbus(tmp_path, started, "tcp", port)
    wait_for(lambda: listening(port), what="the pymodbus server")
    text, page, lan = config(
        f"  hall: {{ modbus-tcp: {{ host: 127.0.0.1, port: {port} }} }}",
        "  meter: { bus: hall, unit: 1, every: 200ms, tags: { volts: { holding: 6, type: f32, unit: V } } }",
    )
    gateway = started(Gateway(tmp_path / "gw", text))
    polls(gateway, "hall", 3)
    return gateway, Page(gateway, page), port


def on_line(tmp_path, started):
    """A gateway that polls a simulated meter, unit 3, on a pseudo terminal."""
    simulator = started(Simulator(tmp_path, "--fixed", "--set", "meter.volts=231.42"))
    port = simulator.at["line"]
    text, page, lan = config(
        f"  line: {{ modbus-rtu: {{ port: {port}, baud: 19200, parity: none }} }}",
        "  meter: { bus: line, unit: 3, every: 200ms, tags: { volts: { input: 0, type: f32, order: CDAB, unit: V } } }",
    )
    gateway = started(Gateway(tmp_path / "gw", text))
    polls(gateway, "line", 3)
    return gateway, Page(gateway, page), port


def polls(gateway, bus, more):
    """Waits for so many further good polls of the first device."""
    def answers(status):
        devices = status["buses"].get(bus, {}).get("devices") or [{"ok": 0}]
        return devices[0]["ok"]

    before = answers(gateway.wait(lambda s: bus in s["buses"]))
    return gateway.wait(lambda s: answers(s) >= before + more, what=f"polls of {bus}")


def test_registers_of_a_bus_that_polls(tmp_path, started):
    gateway, page, _ = on_tcp(tmp_path, started)
    read = page.post("/probe", {"bus": "hall", "unit": 1, "table": "holding", "address": 6, "count": 8})
    rows = read["items"]
    assert [row["address"] for row in rows] == list(range(6, 14))
    assert rows[0]["hex"] == "4367" and rows[0]["u16"] == 0x4367 and rows[0]["text"] == "Cg"
    for at, kind in [(0, "f32 ABCD"), (2, "f32 CDAB"), (4, "f32 BADC"), (6, "f32 DCBA")]:
        assert rows[at]["as"][kind] == "231.42", rows[at]
    assert read["sent"].endswith("01 03 00 06 00 08") and read["received"].endswith("85 6B 67 43")
    assert read["requests"] == 1 and read["took_ms"] > 0
    # Beyond its end the server refuses, and every register says so for itself.
    holes = page.post("/probe", {"bus": "hall", "unit": 1, "table": "holding", "address": 60, "count": 8})
    assert [row.get("exception") for row in holes["items"]] == [None] * 4 + [2] * 4, holes
    assert "exception 02" in holes["items"][-1]["reason"]
    bits = page.post("/probe", {"bus": "hall", "unit": 1, "table": "coil", "address": 0, "count": 4})
    assert [row["value"] for row in bits["items"]] == [True, False, True, True]
    wide = page.post("/probe", {"bus": "hall", "unit": 1, "table": "holding", "address": 22, "count": 4, "wide": True})
    assert wide["items"][0]["as"]["f64 ABCD"] == "0.1"
    # Nothing of this disturbed the polls, or became a value.
    device = polls(gateway, "hall", 3)["buses"]["hall"]["devices"][0]
    assert device["readings_bad"] == 0 and device["state"]["state"] == "ok", device
    for body, code in [
        ({"bus": "none", "unit": 1, "table": "holding", "address": 0, "count": 1}, "not-found"),
        ({"unit": 1, "table": "holding", "address": 0, "count": 1}, "refused"),
        ({"bus": "hall", "unit": 1, "table": "holding", "address": 65535, "count": 2}, "refused"),
        ({"bus": "hall", "unit": 1, "table": "holding", "address": 0, "count": 9999}, "refused"),
        ({"bus": "hall", "unit": 1, "table": "words", "address": 0, "count": 1}, "bad-request"),
    ]:
        assert page.refused("POST", "/probe", body)["code"] == code, body


def test_find_by_value_and_the_test_of_a_tag(tmp_path, started):
    _, page, port = on_tcp(tmp_path, started)
    found = page.post("/probe/find", {"bus": "hall", "unit": 1, "display": "231.4", "count": 80})
    ways = [(c["table"], c["address"], c["type"], c["order"], c["scale"]) for c in found["candidates"]]
    for order, address in [("ABCD", 6), ("CDAB", 8), ("BADC", 10), ("DCBA", 12)]:
        for table in ("holding", "input"):
            assert (table, address, "f32", order, "1") in ways[:10], found
    assert ("holding", 26, "u16", None, "0.1") in ways
    assert found["registers_read"] == 128 and found["complete"]
    first = next(c for c in found["candidates"] if (c["table"], c["address"]) == ("holding", 6))
    assert first["value"] == "231.42" and not first["may_be_chance"]
    order = f", order: {first['order']}" if first["order"] not in (None, "ABCD") else ""
    assert first["yaml"] == f"{{ {first['table']}: {first['address']}, type: f32{order} }}", first
    assert page.refused("POST", "/probe/find", {"bus": "hall", "unit": 1, "display": "0"})["field"] == "display"
    # What was found is what the tag shows, on the bus that runs and on a link that only a draft has.
    tag = {first["table"]: first["address"], "type": "f32", "order": first["order"] or "ABCD", "unit": "V"}
    for where in ({"bus": "hall"}, {"link": {"modbus-tcp": {"host": "127.0.0.1", "port": port}}}):
        tested = page.post("/probe/test", where | {"unit": 1, "tag": tag})
        assert (tested["value"], tested["unit"], tested["quality"]) == ("231.42", "V", "good"), tested
        assert json.loads(tested["payload"])["v"] == 231.42
    inherited = {"bus": "hall", "unit": 1, "device": {"order": "CDAB", "bus": "x"}, "tag": {"holding": 8, "type": "f32"}}
    assert page.post("/probe/test", inherited)["value"] == "231.42"
    missing = page.post("/probe/test", {"bus": "hall", "unit": 1, "tag": {"holding": 41, "type": "i16", "not-available": "0x8000"}})
    assert missing["value"] is None and missing["quality"] == "bad:not-available"
    wrong = page.refused("POST", "/probe/test", {"bus": "hall", "unit": 1, "tag": {"holding": 0, "type": "f32x"}})
    assert wrong["code"] == "configuration" and wrong["problems"][0]["path"] == "tags.tag.type", wrong
    assert "did you mean f32" in wrong["problems"][0]["hint"], wrong
    gone = page.refused("POST", "/probe/test", {"bus": "hall", "unit": 1, "tag": {"holding": 400, "type": "u16"}})
    assert gone["code"] == "exception" and gone["exception"] == 2 and gone["hint"], gone


def test_a_serial_line_is_asked_in_its_turn_and_never_opened_twice(tmp_path, started):
    gateway, page, port = on_line(tmp_path, started)
    read = page.post("/probe", {"bus": "line", "unit": 3, "table": "input", "address": 0, "count": 2})
    assert read["items"][0]["as"]["f32 CDAB"] == "231.42"
    sent = bytes.fromhex(read["sent"])
    assert sent[:6] == bytes([3, 4, 0, 0, 0, 2]) and len(sent) == 8, read
    # The same line by its link goes through the bus as well.
    link = {"modbus-rtu": {"port": port, "baud": 19200, "parity": "none"}}
    ask = {"unit": 3, "table": "input", "address": 0, "count": 2}
    assert page.post("/probe", ask | {"link": link})["items"][0]["as"]["f32 CDAB"] == "231.42"
    other = {"modbus-rtu": {"port": port, "baud": 9600, "parity": "none"}}
    held = page.refused("POST", "/probe", ask | {"link": other})
    assert held["code"] == "held" and "line" in held["reason"], held
    silent = page.refused("POST", "/probe", {"bus": "line", "unit": 9, "table": "input", "address": 0, "count": 1, "timeout_ms": 200})
    assert silent["code"] == "no-answer" and silent["hint"], silent
    assert page.refused("POST", "/probe", {"bus": "line", "unit": 0, "table": "input", "address": 0, "count": 1})["field"] == "unit"
    who = page.post("/probe/identify", {"bus": "line", "unit": 3})
    assert {"id": 1, "name": "product code", "text": "meter"} in who["objects"], who
    ports = page.get("/ports")["rows"]
    assert [row["used_by"] for row in ports if row["used_by"]] == ["line"], ports
    # A flood of requests by hand while the line polls: no poll is lost.
    before = gateway.status()["buses"]["line"]["devices"][0]
    errors = []

    def flood():
        for _ in range(20):
            answer = page.ask("POST", "/probe", {"bus": "line", "unit": 3, "table": "input", "address": 0, "count": 20})
            if answer.status not in (200, 409):
                errors.append(answer.body)

    threads = [threading.Thread(target=flood) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not errors, errors[:3]
    after = polls(gateway, "line", 3)["buses"]["line"]["devices"][0]
    assert after["timeouts"] == before["timeouts"] and after["readings_bad"] == 0, (before, after)


def test_a_scan_goes_on_by_itself_and_tells_devices_from_gateways(tmp_path, started):
    gateway, page, _ = on_line(tmp_path, started)
    begun = page.post("/scan", {"bus": "line", "units": "1-6", "timeout_ms": 100})
    assert begun["of"] == 6
    busy = page.ask("POST", "/scan", {"bus": "line"})
    # It may be over already, and another one was begun then.
    if busy.status == 409:
        assert busy.json["code"] == "busy" and busy.json["id"] == begun["id"]
        scan = wait_for(lambda: (s := page.get(f"/scan/{begun['id']}"))["done"] and s, 60, "the end of the scan")
        assert (scan["end"], scan["asked"], scan["next"]) == ("done", 6, 1), scan
        assert [(f["unit"], f["any_unit"]) for f in scan["found"]] == [(3, False)], scan
        assert "meter" in scan["found"][0]["text"] and "bus1: { modbus-rtu:" in scan["yaml"], scan
        assert page.get(f"/scan/{begun['id']}?since=1")["found"] == []
    polls(gateway, "line", 3)
    # A converter whose gateway answers for devices that are not there, exception 11: none is found.
    port = free_port()
    file = tmp_path / "hall.yaml"
    file.write_text(
        "gateway: { name: g }\nbuses: { hall: { modbus-tcp: { host: h } } }\n"
        "devices:\n  d2: { bus: hall, unit: 2, tags: { t: { holding: 0, type: u16 } } }\n"
        "  d4: { bus: hall, unit: 4, tags: { t: { holding: 0, type: u16 } } }\n"
    )
    started(Process([BINARY, "simulate", file, "--listen", f"127.0.0.1:{port}", "--fault=exception-11:unit=4"], tmp_path / "log"))
    wait_for(lambda: listening(port), what="the simulator")
    ask = {"hosts": [f"127.0.0.1:{port}"], "units": "1-5", "timeout_ms": 500}
    begun = wait_for(lambda: (a := page.ask("POST", "/scan", ask)).status == 200 and a.json, 120, "a scan")
    scan = wait_for(lambda: (s := page.get(f"/scan/{begun['id']}"))["done"] and s, 60, "the end of the scan")
    assert [f["unit"] for f in scan["found"]] == [2], scan
    # One that would take long is ended.
    slow = page.post("/scan", {"bus": "line", "units": "10-247", "timeout_ms": 1000})
    assert page.ask("DELETE", f"/scan/{slow['id']}").status == 204
    ended = wait_for(lambda: (s := page.get(f"/scan/{slow['id']}"))["done"] and s, 30, "its end")
    assert ended["end"] == "stopped" and ended["asked"] < 238, ended
    assert page.refused("GET", "/scan/999")["code"] == "not-found"
    assert page.refused("POST", "/scan", {"bus": "line", "baud": [9600]})["code"] == "held"


def test_a_trace_is_shown_and_downloaded(tmp_path, started):
    gateway, page, _ = on_line(tmp_path, started)
    page.post("/probe", {"bus": "line", "unit": 3, "table": "input", "address": 0, "count": 2})
    trace = page.get("/buses/line/trace")
    assert trace["framing"] == "rtu" and trace["exchanges"], trace
    by_hand = [e for e in trace["exchanges"] if e["purpose"] == "hand"]
    frames = by_hand[-1]["frames"]
    assert [f["role"] for f in frames] == ["request", "answer"], frames
    assert frames[0]["hex"].startswith("0304") and "read input 0" in frames[0]["text"], frames
    later = page.get(f"/buses/line/trace?since={trace['next']}")
    assert all(e["number"] >= trace["next"] for e in later["exchanges"])
    packets = page.ask("GET", "/buses/line/trace.pcap")
    assert packets.status == 200 and "line.pcap" in packets.headers["content-disposition"]
    file = tmp_path / "line.pcap"
    file.write_bytes(packets.body)
    decoded = tshark(file, ["mbrtu.unit_id", "modbus.func_code", "mbrtu.crc16"], "-o", RTU)
    assert len(decoded) > 4 and all(row["mbrtu.unit_id"] == "3" for row in decoded), decoded[:4]
    text = page.ask("GET", "/buses/line/trace.txt").text
    assert "poll ● ok" in text and "by hand ● ok" in text and "volts 231.42 V" in text, text[-2000:]
    assert page.refused("GET", "/buses/none/trace")["code"] == "not-found"


def test_values_are_written_under_the_command_contract(tmp_path, started):
    device = started(CountingDevice())
    text, port, lan = config(
        f"  hall: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device.port} }} }}",
        "  press:\n    bus: hall\n    unit: 1\n    every: 200ms\n    tags:\n"
        "      level: { holding: 100, type: u16, write: { min: 0, max: 500 } }\n"
        "      count: { holding: 0, type: u32 }",
    )
    gateway = started(Gateway(tmp_path / "gw", text))
    polls(gateway, "hall", 2)
    page = Page(gateway, port)
    done = page.post("/tags/press/level/value", {"value": 321})
    assert (done["outcome"], done["value"]) == ("done", 321) and device.kept[100] == 321
    refused = page.post("/tags/press/level/value", {"value": 999})
    assert refused["outcome"] == "out-of-limits" and refused["reason"], refused
    assert page.post("/tags/press/count/value", {"value": 1})["outcome"] == "unknown-tag"
    assert page.refused("POST", "/tags/press/none/value", {"value": 1})["code"] == "not-found"
    assert device.kept[100] == 321
    records = subprocess.run([BINARY, "audit", gateway.config, "--json"], capture_output=True, text=True, timeout=60)
    assert "person:anna" in records.stdout, (records.stdout, records.stderr)


def test_the_broker_is_looked_at_and_listened_to(tmp_path, started):
    text, port, lan = config("  hall: { modbus-tcp: { host: 127.0.0.1, port: 1 } }", "  {}")
    gateway = started(Gateway(tmp_path / "gw", text.replace("devices:\n  {}\n", "")))
    gateway.wait(lambda s: s["broker"])
    page = Page(gateway, port)
    watcher = started(Recorder(lan, ["hall/#"]))
    heard, begun = [], threading.Event()

    def listen():
        for name, data in page.events("/broker/listen?filter=hall/%23"):
            if name == "hello":
                begun.set()
            if name == "messages":
                heard.extend(data["rows"])
                if any(row["topic"] == "hall/end" for row in data["rows"]):
                    return

    listening_in = threading.Thread(target=listen)
    listening_in.start()
    assert begun.wait(15), "the stream"
    publish.single("hall/a", "hello", qos=1, retain=True, port=lan, client_id="press")
    publish.single("other/a", "no", qos=1, port=lan)
    publish.single("hall/long", "x" * 10_000, qos=1, port=lan)
    publish.single("hall/bytes", b"\xff\x00", qos=1, port=lan)
    publish.single("hall/end", "", qos=1, port=lan)
    listening_in.join(30)
    rows = {row["topic"]: row for row in heard}
    assert list(rows) == ["hall/a", "hall/long", "hall/bytes", "hall/end"], heard
    assert (rows["hall/a"]["payload"], rows["hall/a"]["by"], rows["hall/a"]["retain"]) == ("hello", "press", True)
    assert rows["hall/long"]["is_cut"] and rows["hall/long"]["bytes"] == 10_000
    assert rows["hall/bytes"]["payload_hex"] == "ff00" and rows["hall/bytes"]["payload"] is None
    wait_for(lambda: len(watcher.on("hall/end")) == 1, what="the watcher")
    topics = page.get("/broker/topics?filter=hall/%23")["rows"]
    assert {row["topic"] for row in topics} == set(rows), topics
    assert [row["topic"] for row in page.get("/broker/retained?filter=hall/%23")["rows"]] == ["hall/a"]
    subscriptions = page.get("/broker/subscriptions")["rows"]
    assert [row["filter"] for row in subscriptions] == ["hall/#"], subscriptions
    client = subscriptions[0]["client"]
    assert client in [row["id"] for row in page.get("/broker/clients")["rows"]]
    removed = page.ask("DELETE", "/broker/retained?filter=hall/%23").json
    assert removed["rows"] == [{"topic": "hall/a", "removed": True}], removed
    assert page.get("/broker/retained?filter=hall/%23")["rows"] == []
    assert page.post("/broker/kick", {"client": client})["was_connected"] is True
    assert page.refused("POST", "/broker/kick", {"client": "nobody"})["code"] == "refused"
    assert page.post("/broker/password", {"password": "open sesame 7"})["hash"].startswith("$argon2id$")
    assert page.refused("GET", "/broker/listen?filter=a/%23/b")["field"] == "filter"


def test_an_uplink_is_tried_and_its_history_kept(tmp_path, started):
    cloud = started(Mosquitto(tmp_path / "cloud"))
    away = free_port()
    uplinks = f"""
uplinks:
  cloud: {{ url: "mqtt://127.0.0.1:{cloud.port}" }}
  away: {{ url: "mqtt://127.0.0.1:{away}" }}
"""
    device = started(CountingDevice())
    text, port, _ = config(
        f"  hall: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device.port} }} }}",
        "  press: { bus: hall, unit: 1, every: 200ms, tags: { count: { holding: 0, type: u32 } } }",
        uplinks,
    )
    gateway = started(Gateway(tmp_path / "gw", text))
    page = Page(gateway, port)
    gateway.wait(lambda s: s["uplinks"]["cloud"]["state"] == "online", what="the cloud")
    good = page.post("/uplinks/cloud/test")
    assert good["good"] and all(step["ok"] for step in good["steps"]), good
    assert good["steps"][-1]["step"] == "publish" and good["client_id"].endswith("-test")
    bad = page.post("/uplinks/away/test")
    assert not bad["good"] and bad["steps"][-1]["step"] == "connect" and bad["steps"][-1]["advice"], bad
    # The connection that runs was not cut off by its trial.
    assert gateway.status()["uplinks"]["cloud"]["connects"] == 1
    history = page.get("/uplinks/away/history")
    assert history["every_ms"] == 60_000 and len(history["points"]) >= 1, history
    assert set(history["points"][0]) == {"at_wall_ms", "waiting", "delivered", "dropped"}
    # Tried at once when somebody wants it, though it waits.
    gateway.wait(lambda s: s["uplinks"]["away"]["state"] == "offline", what="a wait")
    started(Mosquitto(tmp_path / "away", away))

    def connected():
        assert page.ask("POST", "/uplinks/away/retry").status == 204
        return gateway.status()["uplinks"]["away"]["state"] == "online"

    wait_for(connected, what="the uplink that was told to try now")
    assert page.refused("POST", "/uplinks/none/test")["code"] == "not-found"
    assert page.refused("GET", "/uplinks/none/history")["code"] == "not-found"
    assert page.get("/store/drops") == {"rows": [], "next": None}


def test_diagnostics_have_everything_but_secrets(tmp_path, started):
    hashed = subprocess.run(
        [BINARY, "broker", "password"], input=SECRETS["lan"] + "\n", capture_output=True, text=True, timeout=60
    ).stdout.split('"')[1]
    cloud = free_port()
    directory = tmp_path / "gw"
    directory.mkdir()
    (directory / "uplink.password").write_text(SECRETS["uplink.password"])
    text, port, lan = config(
        "  hall: { modbus-tcp: { host: 127.0.0.1, port: 1 } }",
        "  press: { bus: hall, unit: 1, tags: { count: { holding: 0, type: u32 } } }",
        f'uplinks: {{ cloud: {{ url: "mqtt://127.0.0.1:{cloud}", username: u, password: {{ file: uplink.password }} }} }}',
    )
    text = text.replace("] }\nstore", f'], users: {{ hmi: {{ password: "{hashed}", publish: a }} }} }}\nstore')
    gateway = started(Gateway(directory, text))
    page = Page(gateway, port, password=SECRETS["page"])
    publish.single("a", "x", port=lan, auth={"username": "hmi", "password": SECRETS["lan"]})
    page.post("/broker/password", {"password": SECRETS["lan"]})
    lines = wait_for(lambda: [row["text"] for row in page.get("/logs")["rows"] if "running" in row["text"]], what="the log")
    assert "edge" in lines[0], lines
    assert page.get(f"/logs?since={page.get('/logs')['next']}")["lost"] == 0
    system = page.get("/system")
    assert system["version"] and system["memory"]["used_bytes"] > 1_000_000 and system["disk"]["free_bytes"] > 0, system
    answer = page.ask("GET", "/diagnostics")
    assert answer.status == 200 and "edge" in answer.headers["content-disposition"], answer.headers
    files = {}
    with tarfile.open(fileobj=io.BytesIO(answer.body), mode="r:gz") as tar:
        for member in tar:
            files[member.name] = tar.extractfile(member).read().decode()
    wanted = {"status.json", "system.json", "traces.json", "configuration.yaml", "log.txt"}
    assert set(files) == wanted | {"history.json", "history/1.yaml"}, set(files)
    assert json.loads(files["status.json"])["gateway"]["name"] == "edge"
    assert "hall" in json.loads(files["traces.json"])
    assert "running" in files["log.txt"] and "modbus-tcp" in files["configuration.yaml"]
    assert "(masked)" in files["configuration.yaml"], "the hash of a password"
    everything = "\n".join(files.values())
    cookie = page.cookie.split("=", 1)[1]
    for secret in [*SECRETS.values(), hashed, cookie]:
        assert secret not in everything, secret
