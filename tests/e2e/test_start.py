"""A device, a cloud, a store or a port that is not well at the start never prevents it."""

import os
import signal
import socket

from conftest import BACK_ONLINE, Gateway, Mosquitto, Recorder, free_port, readings, wait_for
from plant import CountingDevice
from test_outage import check_nothing_lost, config, polls


def test_device_off_at_start_is_retried(tmp_path, started):
    """T12"""
    port = free_port()
    cloud = started(Mosquitto(tmp_path / "cloud"))
    recorder = started(Recorder(cloud.port))

    class Off:
        pass

    off = Off()
    off.port = port
    gateway = started(Gateway(tmp_path / "gw", config(off, cloud.port, free_port())))
    gateway.wait(lambda s: s["buses"]["line"])
    wait_for(lambda: any(q == "bad:link-down" for _, _, q, _ in readings(recorder.messages)), 20, "a reading that says link-down")
    device = started(CountingDevice(port=port))
    polls(device, 20)
    check_nothing_lost(recorder, device, gateway)


def test_uplink_away_at_start(tmp_path, started):
    device = started(CountingDevice())
    cloud = Mosquitto(tmp_path / "cloud")
    gateway = started(Gateway(tmp_path / "gw", config(device, cloud.port, free_port())))
    polls(device, 50)
    status = gateway.wait(lambda s: s["uplinks"]["cloud"]["state"] == "offline")
    assert "refused" in str(status["uplinks"]["cloud"]).lower()
    gateway.signal(signal.SIGSTOP)
    started(cloud)
    recorder = started(Recorder(cloud.port))
    gateway.signal(signal.SIGCONT)
    polls(device, 50)
    check_nothing_lost(recorder, device, gateway)


def test_corrupt_store_is_set_aside(tmp_path, started):
    """T9"""
    device = started(CountingDevice())
    cloud = Mosquitto(tmp_path / "cloud")
    gateway = started(Gateway(tmp_path / "gw", config(device, cloud.port, free_port())))
    polls(device, 50)
    assert gateway.stop() == 0
    store = gateway.state / "store"
    (store / "queue.db").write_bytes(os.urandom(100_000))
    gateway.start()
    polls(device, 20)
    assert list((store / "quarantine").iterdir()), "the corrupt file was kept for salvage"
    assert "quarantine" in gateway.output()
    started(cloud)
    recorder = started(Recorder(cloud.port))
    polls(device, 20)
    gateway.wait(lambda s: s["uplinks"]["cloud"]["state"] == "online", BACK_ONLINE)
    target = device.served
    wait_for(lambda: any(v >= target for _, v, q, _ in readings(recorder.messages) if q == "good"), 20, "new readings")


def test_broker_port_taken_is_a_state(tmp_path, started):
    device = started(CountingDevice())
    cloud = started(Mosquitto(tmp_path / "cloud"))
    recorder = started(Recorder(cloud.port))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = started(Gateway(tmp_path / "gw", config(device, cloud.port, port)))
        status = gateway.wait(lambda s: s["units"]["broker"]["state"] == "waiting")
        assert "in use" in status["units"]["broker"]["reason"]
        polls(device, 20)
    gateway.wait(lambda s: s["broker"], 70, "the broker once the port is free")
    check_nothing_lost(recorder, device, gateway)


def test_second_gateway_on_one_store_is_refused(tmp_path, started):
    device = started(CountingDevice())
    gateway = started(Gateway(tmp_path / "gw", config(device, free_port(), free_port())))
    second = Gateway(tmp_path / "gw", gateway.config.read_text())
    second.log = tmp_path / "second.log"
    second.start(ready=False)
    assert second.child.wait(15) == 1
    assert "another" in second.output()
    assert gateway.status()
