"""Home Assistant's discovery at a real broker (docs/home-assistant.md)."""

import contextlib
import json

import paho.mqtt.client as mqtt
from conftest import BACK_ONLINE, Gateway, Mosquitto, Recorder, wait_for
from plant import CountingDevice

STATUS = "plant/gw/status"


def config(device, cloud, devices):
    sections = "\n".join(f"  {name}: {{ bus: line, every: 200ms, tags: {{ {tags} }} }}" for name, tags in devices.items())
    return f"""
gateway: {{ name: gw, site: plant }}
buses: {{ line: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device} }} }} }}
devices:
{sections}
uplinks:
  home:
    url: "mqtt://127.0.0.1:{cloud}"
    receive: ["plant/gw/+/+/set"]
    home-assistant: {{}}
store: {{ path: state }}
"""


U = "u: { holding: 2, type: u16, unit: V }"
GOAL = "goal: { holding: 40, type: u16, write: { min: 0, max: 100 } }"


def documents(port, wanted):
    """What lies retained at the broker, by the device's name."""
    def found(recorder):
        kept = [m for m in list(recorder.messages) if m.topic.endswith("/config")]
        parsed = [json.loads(m.payload) for m in kept if m.retain]
        return {d["dev"]["name"]: d for d in parsed}

    def look():
        # Each subscription shows what lies there at its moment.
        recorder = Recorder(port, ["homeassistant/#"])
        try:
            with contextlib.suppress(AssertionError):
                return wait_for(lambda: wanted(found(recorder)) and found(recorder), 2, "the documents")
        finally:
            recorder.close()

    return wait_for(look, 40, "the documents")


def test_devices_appear_are_operated_and_leave(tmp_path, started):
    device = started(CountingDevice())
    cloud = started(Mosquitto(tmp_path / "cloud"))
    gateway = started(Gateway(tmp_path / "gw", config(device.port, cloud.port, {"m1": f"{U}, {GOAL}", "m2": U})))
    recorder = started(Recorder(cloud.port))
    wait_for(lambda: [m.payload for m in recorder.on(STATUS)][-1:] == [b"online"], BACK_ONLINE, "online")

    found = documents(cloud.port, lambda d: len(d) == 2)
    parts = found["m1"]["cmps"]
    assert (parts["u"]["p"], parts["u"]["dev_cla"], parts["goal"]["p"]) == ("sensor", "voltage", "number")
    assert found["m1"]["avty_t"] == STATUS

    # The state is where the document says, in the shape its template reads.
    state = wait_for(lambda: recorder.last(parts["u"]["stat_t"]), what="a state")
    assert state["v"] == 2 * 7 + 1 and parts["u"]["val_tpl"] == "{{ value_json.v }}"

    # A number of Home Assistant reaches the device.
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", cloud.port)
    client.loop_start()
    try:
        client.publish(parts["goal"]["cmd_t"], "55", qos=1)
        wait_for(lambda: (40, 55) in device.writes, 20, "the write")

        # Home Assistant starts: everything again.
        topic = next(m.topic for m in recorder.messages if m.topic.endswith("/config"))
        before = len(recorder.on(topic))
        client.publish("homeassistant/status", "online", qos=1)
        wait_for(lambda: len(recorder.on(topic)) == before + 1, what="the documents again")
    finally:
        client.disconnect()
        client.loop_stop()

    # A device and a tag are taken out while the gateway is off.
    gateway.stop()
    wait_for(lambda: recorder.on(STATUS)[-1].payload == b"offline", what="offline at a stop")
    gateway.write(config(device.port, cloud.port, {"m1": U}))
    gateway.start()
    gone = next(m.topic for m in recorder.messages if m.topic.endswith("/config") and b'"name":"m2"' in m.payload)
    wait_for(lambda: recorder.on(gone)[-1].payload == b"", BACK_ONLINE, "the removal of m2")
    found = documents(cloud.port, lambda d: set(d) == {"m1"} and set(d["m1"]["cmps"]) == {"u"})
    assert list(found["m1"]["cmps"]) == ["u"]
    removing = [json.loads(m.payload) for m in recorder.messages if m.topic.endswith("/config") and m.payload]
    assert any(d["cmps"].get("goal") == {"p": "number"} for d in removing), "its platform alone removes a part"

    # A gateway that dies is unavailable.
    wait_for(lambda: recorder.on(STATUS)[-1].payload == b"online", BACK_ONLINE, "online again")
    gateway.kill()
    wait_for(lambda: recorder.on(STATUS)[-1].payload == b"offline", what="offline by the will")
