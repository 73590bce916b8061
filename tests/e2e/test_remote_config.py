"""Remote configuration: signed messages through a broker, confirmed or rolled back."""

import hashlib
import json
import re
import signal
import subprocess
import time

import jwt
import pytest

from conftest import BINARY, Gateway, Mosquitto, Recorder, free_port, wait_for
from plant import CountingDevice
from test_outage import check_nothing_lost, config, consumers, polls

BASE = "works/edge/config"


class Operator:
    """Whoever configures: a key made by openssl, messages signed by our binary or by PyJWT."""

    def __init__(self, directory, name="ops"):
        self.pem, self.name = directory / f"{name}.pem", name
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.pem], check=True)
        public = subprocess.run(["openssl", "pkey", "-in", self.pem, "-pubout"], check=True, capture_output=True, text=True)
        self.public_pem = public.stdout
        self.public = self.public_pem.splitlines()[1]

    def sign(self, text, serial, *more, to=("--for", "works/edge")):
        path = self.pem.parent / f"draft-{serial}.yaml"
        path.write_text(text)
        line = [BINARY, "config", "sign", "--key", self.pem, "--serial", str(serial), *to, *more, path]
        return subprocess.run(line, check=True, capture_output=True, text=True, timeout=30).stdout

    def confirms(self, serial, to=("--for", "works/edge")):
        line = [BINARY, "config", "sign", "--key", self.pem, "--confirms", str(serial), *to]
        return subprocess.run(line, check=True, capture_output=True, text=True, timeout=30).stdout

    def jwt(self, claims, **headers):
        return jwt.encode(claims, self.pem.read_text(), algorithm="EdDSA", headers={"kid": self.name, **headers})


def remote(text, operator, more="", confirm="20s"):
    """The configuration with the operator's key at its uplink."""
    keys = f"remote: {{ keys: {{ ops: {operator.public} }}, confirm: {confirm}{more} }}"
    return text.replace('send: [ "#" ] }', f'send: [ "works/edge/press/#" ], {keys} }}') + "web: off\n"


@pytest.fixture
def operator(tmp_path):
    return Operator(tmp_path)


class Site:
    def __init__(self, tmp_path, started, operator, confirm="20s"):
        self.device = started(CountingDevice())
        self.cloud = started(Mosquitto(tmp_path / "cloud"))
        self.readings = started(Recorder(self.cloud.port, ["works/edge/press/#", "works/edge/backlog"]))
        self.states = started(Recorder(self.cloud.port, [f"{BASE}/status", f"{BASE}/current"]))
        self.text = remote(config(self.device, self.cloud.port, free_port()), operator, confirm=confirm)
        self.gateway = started(Gateway(tmp_path / "gw", self.text))
        self.state(lambda s: s["version"] == 1, "the first state")

    def send(self, message, topic=f"{BASE}/set", retain=False):
        self.states.client.publish(topic, message, qos=1, retain=retain).wait_for_publish(15)

    def state(self, condition=lambda s: True, what="the state", seconds=40):
        def reached():
            said = self.states.last(f"{BASE}/status")
            return said if said and condition(said) else None

        try:
            return wait_for(reached, seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.states.last(f'{BASE}/status')}\n{self.gateway.output()[-3000:]}")

    def outcome(self, serial, outcome, seconds=40):
        found = lambda s: s["last"] and s["last"]["serial"] == serial and s["last"]["outcome"] == outcome
        return self.state(found, f"{outcome} of serial {serial}", seconds)

    def file(self):
        return self.gateway.config.read_text()


@pytest.fixture
def site(tmp_path, started, operator):
    return Site(tmp_path, started, operator)


def slower(text, every="25ms"):
    changed = text.replace("every: 20ms", f"every: {every}")
    assert changed != text
    return changed


def test_a_signed_message_changes_the_configuration_and_the_gateway_confirms_it(site, operator):
    polls(site.device, 20)
    changed = slower(site.text)
    site.send(operator.sign(changed, 1))
    said = site.outcome(1, "stands")
    assert said["version"] == 2 and said["state"] == "stands" and said["serial"] == 1
    assert said["sha256"] == hashlib.sha256(changed.encode()).hexdigest()
    assert said["by"] == "the key ops over cloud, serial 1"
    assert site.file() == changed
    pending = [json.loads(m.payload) for m in site.states.on(f"{BASE}/status")]
    assert any(s["state"] == "pending" and s["until"] for s in pending), "it was told that it waits"
    site.send("", f"{BASE}/get")
    current = wait_for(lambda: site.states.last(f"{BASE}/current"), what="the text")
    assert current["config"] == changed and current["sha256"] == said["sha256"]
    polls(site.device, 20)
    check_nothing_lost(site.readings, site.device, site.gateway, allowed=1)
    # The state is retained: who comes late knows it.
    history = fieldhold(site.gateway, "history")
    assert re.search(r"2  .* runs .* by the key ops over cloud, serial 1", history), history
    assert "+    every: 25ms" in fieldhold(site.gateway, "diff")
    assert fieldhold(site.gateway, "show", "1") == site.text


def fieldhold(gateway, *words):
    line = [BINARY, "config", *words, "--config", gateway.config]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_change_that_cuts_its_own_uplink_off_is_rolled_back(site, operator, tmp_path):
    polls(site.device, 20)
    nowhere = site.text.replace(f"127.0.0.1:{site.cloud.port}", f"127.0.0.1:{free_port()}")
    begun = time.monotonic()
    site.send(operator.sign(slower(nowhere), 1, "--within", "6s"))
    wait_for(lambda: site.file() != site.text, 30, "the change in the file")
    said = site.outcome(1, "rolled-back", 60)
    assert time.monotonic() - begun >= 6
    assert "nothing confirmed it in time" in said["last"]["reason"]
    assert said["version"] == 1 and said["state"] == "stands" and site.file() == site.text
    # It can be reached again, and what the broker repeats is not taken again.
    site.send(operator.sign(slower(site.text), 2))
    site.outcome(2, "stands")
    polls(site.device, 20)
    check_nothing_lost(site.readings, site.device, site.gateway, allowed=3)


def test_an_operator_confirms_or_does_not(site, operator):
    changed = slower(site.text)
    site.send(operator.sign(changed, 1, "--ask-operator"))
    site.outcome(1, "pending")
    site.send(operator.sign(slower(site.text, "30ms"), 2))
    refused = site.outcome(2, "refused")
    assert "version 2 waits for its confirmation until 20" in refused["last"]["reason"]
    site.send(operator.confirms(9), f"{BASE}/confirm")
    assert "nothing of serial 9 waits" in site.outcome(9, "refused")["last"]["reason"]
    site.send(operator.confirms(1), f"{BASE}/confirm")
    assert site.state(lambda s: s["state"] == "stands" and s["version"] == 2)["serial"] == 1
    assert site.file() == changed
    # What could not be taken then can be now.
    site.send(operator.sign(slower(site.text, "30ms"), 2, "--ask-operator", "--within", "5s"))
    site.outcome(2, "pending")
    site.outcome(2, "rolled-back")
    assert site.file() == changed


def test_kill_9_while_it_is_pending_is_rolled_back_at_the_start(site, operator):
    polls(site.device, 20)
    # Retained, so that the broker repeats it: it must not be taken again.
    site.send(operator.sign(slower(site.text), 1, "--ask-operator", "--within", "10min"), retain=True)
    site.outcome(1, "pending")
    assert site.file() != site.text
    site.gateway.kill()
    site.gateway.start()
    said = site.outcome(1, "rolled-back")
    assert "the gateway ended before it was confirmed" in said["last"]["reason"]
    assert said["version"] == 1 and site.file() == site.text
    assert "rolled back" in site.gateway.output()
    # A message behind the retained one: when it was answered, that one had been looked at.
    site.send(operator.sign(slower(site.text, "30ms"), 2))
    assert site.outcome(2, "stands")["version"] == 3
    assert [r["state"] for r in json.loads(fieldhold(site.gateway, "history", "--json"))] == ["stands", "rolled-back", "stands"]
    polls(site.device, 20)
    # What was read in the commit window before the kill, and a request under way at each change.
    check_nothing_lost(site.readings, site.device, site.gateway, allowed=25)


def test_what_is_not_right_is_refused_and_said(site, operator, tmp_path):
    stranger = Operator(tmp_path, "stranger")
    good = slower(site.text)
    refusal = lambda s: s["last"]["reason"] if s["last"] and s["last"]["outcome"] == "refused" else ""

    def refused(message, words):
        site.send(message)
        return site.state(lambda s: words in refusal(s), words)

    refused("hello", "no signed message")
    refused(stranger.sign(good, 1), 'key "stranger" is none of those')
    refused(stranger.jwt({}, kid="ops"), 'signature is not that of the key "ops"')
    head, body, tail = operator.sign(good, 1).split(".")
    refused(f"{head}.{body[:-2]}{'AB' if body[-2:] != 'AB' else 'BA'}.{tail}", "signature is not that")
    refused(operator.sign(good, 1, to=("--for", "works/other")), "not for this gateway, which is works/edge")
    refused(operator.jwt({"serial": 1, "aud": ["works/edge"], "config": good, "exp": 1}), "it has expired at 1970")
    site.send(operator.sign(site.text.replace("type: u32", "type: u33"), 1, "--unchecked"))
    said = site.state(lambda s: s["last"].get("problems"), "the problems")
    problem = said["last"]["problems"][0]
    line = next(n for n, text in enumerate(site.text.splitlines(), 1) if "type: u32" in text)
    assert problem["line"] == line and problem["path"] == "devices.press.tags.count.type" and "u33" in problem["message"]
    refused(operator.sign(good, 1), "another configuration came with its serial 1")
    refused(operator.sign(site.text.replace("commit: 100ms", "commit: 200ms"), 2), "`store` can't change")
    refused(operator.sign(site.text.replace("name: edge", "name: edge2"), 3), "the gateway's name or site")
    refused(operator.sign(good, 2), "serial 2 is not newer than 3")
    assert site.file() == site.text
    site.gateway.write(site.text + "# a hand was here\n")
    refused(operator.sign(good, 4), "someone edited it")
    site.gateway.write(site.text)
    site.send(operator.sign(good, 4))
    assert site.outcome(4, "stands")["version"] == 2
    polls(site.device, 20)
    check_nothing_lost(site.readings, site.device, site.gateway, allowed=1)


def test_a_message_of_an_independent_library_is_taken_and_ours_is_believed_there(site, operator):
    changed = slower(site.text)
    site.send(operator.jwt({"serial": 1, "aud": ["works/edge"], "config": changed, "within": 30}))
    assert site.outcome(1, "stands")["version"] == 2
    ours = operator.sign(site.text, 2, "--expires", "1h")
    claims = jwt.decode(ours.strip(), operator.public_pem, algorithms=["EdDSA"], audience="works/edge")
    assert claims["serial"] == 2 and claims["config"] == site.text and claims["exp"] > time.time()
    assert jwt.get_unverified_header(ours.strip()) == {"alg": "EdDSA", "kid": "ops"}
    site.send(ours)
    assert site.outcome(2, "stands")["version"] == 3


def test_an_offline_gateway_gets_its_change_when_it_is_back(site, operator):
    assert site.gateway.stop() == 0
    site.send(operator.sign(slower(site.text), 1), retain=True)
    site.gateway.start()
    assert site.outcome(1, "stands")["version"] == 2
    # It comes at every connection, and changes nothing more.
    connects = site.gateway.status()["uplinks"]["cloud"]["connects"]
    site.gateway.stop()
    site.gateway.start()
    site.gateway.wait(lambda s: s["uplinks"]["cloud"]["state"] == "online")
    site.send(operator.sign(site.text, 2))
    assert site.outcome(2, "stands")["version"] == 3


def test_a_person_goes_back_at_the_gateway_and_without_one_running(site, operator):
    site.send(operator.sign(slower(site.text), 1))
    site.outcome(1, "stands")
    assert fieldhold(site.gateway, "rollback") == "version 3 runs\n"
    assert site.file() == site.text
    assert site.state(lambda s: s["version"] == 3)["by"] == "a person at the gateway"
    assert site.gateway.stop() == 0
    site.gateway.write("gateway: {")
    line = [BINARY, "config", "rollback", "--config", site.gateway.config]
    assert subprocess.run(line, capture_output=True, timeout=30).returncode == 2, "where its state is can't be known"
    line += ["--state-dir", site.gateway.state]
    done = subprocess.run(line, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "version 3 again" in done.stdout, done.stderr
    assert site.file() == site.text
    site.gateway.start()
    assert site.state(lambda s: s["version"] == 3)


def place(salt, name):
    return int.from_bytes(hashlib.sha256(f"{salt}{name}".encode()).digest()[:8], "big") % 100


def test_sign_refuses_mistakes_and_wrong_keys(tmp_path, operator):
    path = tmp_path / "bad.yaml"
    path.write_text("gateway: { nam: x }\n")
    line = [BINARY, "config", "sign", "--key", operator.pem, "--serial", "1", "--for", "x"]
    done = subprocess.run([*line, path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "did you mean name" in done.stderr and not done.stdout
    line[4] = path
    done = subprocess.run([*line, path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "no Ed25519 private key" in done.stderr


FLEET = """
variables: site.yaml
gateway: {{ name: "${{name}}", site: works }}
buses:
  line: {{ modbus-tcp: {{ host: 127.0.0.1, port: "${{device}}" }} }}
devices:
  press:
    bus: line
    unit: 1
    every: 20ms
    tags:
      count: {{ holding: 0, type: u32 }}
uplinks:
  cloud:
    url: mqtt://127.0.0.1:{cloud}
    send: [ "works/+/press/#" ]
    remote: {{ keys: {{ ops: {public} }}, groups: [line-a], confirm: 20s }}
store: {{ path: state, commit: 100ms }}
web: off
"""


def test_a_rollout_reaches_a_group_stage_by_stage(tmp_path, started, operator):
    """Three gateways with one text: at first one of them, then two, then all, and nobody twice."""
    names = [next(n for n in (f"edge{i}" for i in range(1000)) if places(place("1", f"works/{n}")))
             for places in (lambda p: p < 30, lambda p: 30 <= p < 60, lambda p: 60 <= p)]
    cloud = started(Mosquitto(tmp_path / "cloud"))
    states = started(Recorder(cloud.port, ["works/+/config/status"]))
    text, fleet = FLEET.format(cloud=cloud.port, public=operator.public), {}
    for name in names:
        device = started(CountingDevice())
        for directory in (tmp_path / name, tmp_path):  # where it runs, and where the operator signs
            directory.mkdir(exist_ok=True)
            (directory / "site.yaml").write_text(f"name: {name}\ndevice: {device.port}\n")
        fleet[name] = (started(Gateway(tmp_path / name, text)), device)
    last = lambda name: states.last(f"works/{name}/config/status")
    for name in names:
        wait_for(lambda: last(name), 40, f"the state of {name}")
    changed = slower(text)
    for percent, wanted in [(30, ["stands", "held", "held"]), (60, ["stands", "stands", "held"]), (100, ["stands"] * 3)]:
        message = operator.sign(changed, 1, "--stage", str(percent), to=("--group", "line-a"))
        states.client.publish("groups/line-a/config/set", message, qos=1).wait_for_publish(15)
        for name, outcome in zip(names, wanted):
            told = lambda s: s["serial"] == 1 and s["last"]["outcome"] == outcome
            stage = lambda s: outcome != "held" or f"it is for {percent} % of the gateways" in s["last"]["reason"]
            wait_for(lambda: told(last(name)) and stage(last(name)), 60, f"{outcome} at {percent} % of {name}, not {last(name)}")
    for name in names:
        gateway, device = fleet[name]
        assert gateway.config.read_text() == changed and last(name)["version"] == 2
        polls(device, 20)
        drained = lambda s: sum(row["waiting"] for row in consumers(s)) < 5
        gateway.wait(drained, 60, "the drain")
        assert all(row["dropped"] == 0 for row in consumers(gateway.status()))
