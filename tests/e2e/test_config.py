"""Configuration: every mistake at once; reload; what a healthy run says."""

import re
import shutil
import signal
import socket
import subprocess

import pytest

from conftest import BINARY, ROOT, Gateway, Mosquitto, Recorder, free_port, wait_for
from plant import CountingDevice
from test_outage import check_nothing_lost, config, consumers, polls, site  # noqa: F401, a fixture

TEN_MISTAKES = """\
gateway: { name: "edge one" }
buses:
  line: { modbus-tcp: { host: 127.0.0.1, port: 70000 } }
  rs485: { modbus-rtu: { port: /dev/ttyUSB0, baud: 9600, parity: evn } }
devices:
  press:
    bus: lnie
    unit: 1
    every: 1 fortnight
    tags:
      a: { holding: 0, type: float }
      b: { holding: 70000, type: u16 }
      c: { holding: 4, tpye: u16 }
      d: { input: 5, type: u16, write: { min: 0, max: 1 } }
uplinks:
  cloud: { url: "http://example.org", send: [ "a/#/b" ] }
"""


def check(tmp_path, text):
    path = tmp_path / "fieldhold.yaml"
    path.write_text(text)
    return subprocess.run([BINARY, "check", path], capture_output=True, text=True, timeout=30)


def test_ten_mistakes_give_ten_located_problems(tmp_path):
    result = check(tmp_path, TEN_MISTAKES)
    assert result.returncode == 2
    lines = [l for l in result.stderr.splitlines() if re.match(r".*fieldhold\.yaml:\d+:\d+ ", l)]
    assert len(lines) == 11, result.stderr
    at = {re.search(r"yaml:(\d+):", l).group(1) for l in lines}
    assert at == {"1", "3", "4", "7", "9", "11", "12", "13", "14", "16"}, result.stderr
    assert "did you mean f32" in result.stderr and "line" in result.stderr


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The shipped configurations, with the certificates that they name."""
    configs = tmp_path_factory.mktemp("shipped") / "configs"
    shutil.copytree(ROOT / "configs", configs)
    pki = configs / "pki"
    pki.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj", "/CN=broker",
                    "-keyout", pki / "broker.key", "-out", pki / "broker.pem"], check=True, capture_output=True)
    for one, other in (("broker.pem", "plant-ca.pem"), ("broker.pem", "page.pem"), ("broker.key", "page.key")):
        shutil.copy(pki / one, pki / other)
    for path in configs.glob("examples/*.yaml"):
        path.write_text(path.read_text().replace("/etc/fieldhold/", f"{pki}/"))
    return configs


def test_valid_configuration_prints_the_plan(shipped):
    for name in ["demo", "minimal", "reference"]:
        result = subprocess.run([BINARY, "check", shipped / f"{name}.yaml"], capture_output=True, text=True, timeout=30)
        assert result.returncode == 0, result.stderr
        assert "%" in result.stdout and "requests" in result.stdout and "/" in result.stdout


def test_every_commented_example_is_valid(shipped):
    for path in sorted(shipped.glob("examples/*.yaml")):
        result = subprocess.run([BINARY, "check", path], capture_output=True, text=True, timeout=30)
        assert result.returncode == 0, f"{path}: {result.stderr}"


def test_a_bad_file_changes_nothing_and_says_why(site):
    device, cloud, gateway, recorder = site
    polls(device, 20)
    good = gateway.config.read_text()
    gateway.write(good.replace("type: u32", "type: u33"))
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: "u33" in gateway.output(), what="the reason in the log")
    polls(device, 20)
    assert gateway.status()["units"]["bus line"]["restarts"] == 0
    gateway.write(good)
    check_nothing_lost(recorder, device, gateway)


def test_a_broker_that_cannot_listen_changes_nothing(site, started):
    device, cloud, gateway, recorder = site
    good = gateway.config.read_text()
    port = int(re.search(r'tcp: "127.0.0.1:(\d+)"', good)[1])
    lan = started(Recorder(port))
    lan.client.publish("note/kept", "1", qos=1, retain=True).wait_for_publish(5)
    wait_for(lambda: lan.on("note/kept"), what="the message")
    before = gateway.wait(lambda s: s["uplinks"]["cloud"]["state"] == "online")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f'"127.0.0.1:{taken.getsockname()[1]}"'
        text = good.replace("} ] }", f"}}, {{ tcp: {address} }} ] }}").replace("every: 20ms", "every: 25ms")
        assert address in text and "25ms" in text
        gateway.write(text)
        gateway.signal(signal.SIGHUP)
        wait_for(lambda: "configuration not taken" in gateway.output(), what="the reason in the log")
    assert "in use" in gateway.output()
    polls(device, 20)
    after = gateway.status()
    assert after["units"] == before["units"]
    assert after["uplinks"]["cloud"]["connects"] == before["uplinks"]["cloud"]["connects"]
    assert after["broker"]["uptime_s"] >= before["broker"]["uptime_s"]
    assert lan.subscribed == 1, "the client of the LAN was not disconnected"
    late = started(Recorder(port, ["note/#"]))
    wait_for(lambda: late.on("note/kept"), what="the retained message")
    gateway.write(good)


def test_only_what_changed_restarts(site):
    device, cloud, gateway, recorder = site
    polls(device, 20)
    before = gateway.status()["uplinks"]["cloud"]
    second = CountingDevice()
    text = gateway.config.read_text()
    text = text.replace("devices:", f"  extra: {{ modbus-tcp: {{ host: 127.0.0.1, port: {second.port} }} }}\ndevices:\n  other: {{ bus: extra, unit: 1, tags: {{ n: {{ holding: 2, type: u16, every: 100ms }} }} }}")
    gateway.write(text)
    gateway.signal(signal.SIGHUP)
    gateway.wait(lambda s: any(t["topic"] == "works/edge/other/n" and t["value"] for t in s["tags"]))
    after = gateway.status()["uplinks"]["cloud"]
    assert after["connects"] == before["connects"], "the uplink was not touched"
    second.close()


def test_healthy_run_logs_nothing_above_info(site):
    device, cloud, gateway, recorder = site
    polls(device, 100)
    check_nothing_lost(recorder, device, gateway)
    assert gateway.stop() == 0
    bad = [l for l in gateway.output().splitlines() if re.search(r"\b(WARN|ERROR)\b", l)]
    assert not bad, "\n".join(bad)


def test_sigterm_drains_and_nothing_is_lost(site):
    device, cloud, gateway, recorder = site
    polls(device, 50)
    assert gateway.stop() == 0
    assert "stopped" in gateway.output().splitlines()[-1]
    gateway.start()
    polls(device, 5)
    # The request under way when the bus stopped may have been answered and never read.
    check_nothing_lost(recorder, device, gateway, allowed=1)


def test_two_uplinks_have_their_own_cursors(tmp_path, started):
    device = started(CountingDevice())
    one, two = started(Mosquitto(tmp_path / "one")), Mosquitto(tmp_path / "two")
    text = config(device, one.port, free_port()).replace(
        "store:", f'  second: {{ url: "mqtt://127.0.0.1:{two.port}", send: [ "#" ] }}\nstore:'
    )
    gateway = started(Gateway(tmp_path / "gw", text))
    polls(device, 100)
    gateway.wait(lambda s: all(c["waiting"] < 5 for c in consumers(s, "cloud")))
    waiting = sum(c["waiting"] for c in consumers(gateway.status(), "second"))
    assert waiting >= 90, waiting
    gateway.signal(signal.SIGSTOP)
    started(two)
    late = started(Recorder(two.port))
    gateway.signal(signal.SIGCONT)
    check_nothing_lost(late, device, gateway)
