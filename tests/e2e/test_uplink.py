"""The way to a cloud broker, good and bad, against real brokers: each fault has one cause, words for a
person, and a next step; `uplink test` exits with 0 or 1."""

import json
import shutil
import socket
import subprocess
import threading

import pytest
from certificates import authority, certificate, openssl
from conftest import BINARY, Gateway, Mosquitto, Recorder, free_port, wait_for

AUTHORITY = """
[ca]
default_ca = plant
[plant]
database = signed/index
serial = signed/serial
new_certs_dir = signed
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def between(directory, name, start, end):
    """As certificate(), valid between two moments."""
    certificate(directory, name, "broker")
    signed = directory / "signed"
    signed.mkdir(exist_ok=True)
    (signed / "index").write_text("")
    (signed / "serial").write_text("01\n")
    (directory / "authority.cnf").write_text(AUTHORITY)
    openssl(directory, "ca", "-config", "authority.cnf", "-batch", "-notext", "-cert", "ca.pem", "-keyfile", "ca.key",
            "-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", f"{name}.ext",
            "-startdate", start, "-enddate", end)


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    """An authority with certificates of brokers and clients, and another authority."""
    directory = tmp_path_factory.mktemp("plant")
    authority(directory)
    certificate(directory, "broker", "broker")
    certificate(directory, "client", "client", days=20)
    between(directory, "expired", "20200101000000Z", "20210101000000Z")
    between(directory, "future", "20400101000000Z", "20410101000000Z")
    other = tmp_path_factory.mktemp("other")
    authority(other)
    shutil.copy(other / "ca.pem", directory / "other-ca.pem")
    return directory


class Broker(Mosquitto):
    """Mosquitto with more lines in its configuration; one listener."""

    def __init__(self, directory, *lines):
        super().__init__(directory)
        conf = directory / "mosquitto.conf"
        text = conf.read_text()
        if any("password_file" in line for line in lines):
            text = text.replace("allow_anonymous true", "allow_anonymous false")
        # Started by root it would become another user, who may not read the files of a test.
        conf.write_text("user root\n" + text + "\n".join(lines) + "\n")


def tls(plant, name, *more):
    return [f"certfile {plant / name}.pem", f"keyfile {plant / name}.key", *more]


def uplink_test(directory, url, *lines):
    directory.mkdir(exist_ok=True)
    config = directory / "trial.yaml"
    more = "".join(f"    {line}\n" for line in lines)
    config.write_text(
        "gateway: { name: edge, site: works }\nbroker: {}\n"
        f"uplinks:\n  cloud:\n    url: {url}\n{more}store: {{ path: none }}\n"
    )
    done = subprocess.run(
        [BINARY, "uplink", "test", "cloud", config, "--json"], capture_output=True, text=True, timeout=60
    )
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert steps, done.stderr
    return done.returncode, steps


def check_refused(outcome, step, cause, words):
    code, steps = outcome
    last = steps[-1]
    assert code == 1 and not last["ok"], steps
    assert (last["step"], last["cause"]) == (step, cause), steps
    assert words in last["said"] and last["advice"], steps


def check_good(outcome, *names):
    code, steps = outcome
    assert code == 0, steps
    assert [s["step"] for s in steps] == ["settings", *names, "login", "publish"], steps


def test_a_good_way_is_ok_in_both_versions(tmp_path, started):
    broker = started(Broker(tmp_path / "cloud"))
    recorder = Recorder(broker.port)
    for version in ("3.1.1", "5"):
        check_good(uplink_test(tmp_path, f"mqtt://127.0.0.1:{broker.port}", f"mqtt: {version}"), "resolve", "connect")
    wait_for(lambda: len(recorder.on("works/edge/probe")) == 2, what="both probes")
    recorder.close()


def test_tls_with_everything(tmp_path, started, plant):
    lines = tls(plant, "broker", f"cafile {plant / 'ca.pem'}", "require_certificate true")
    broker = started(Broker(tmp_path / "cloud", *lines))
    own = [f"ca: {plant / 'ca.pem'}", f"certificate: {plant / 'client.pem'}", f"key: {plant / 'client.key'}"]
    url = f"mqtts://127.0.0.1:{broker.port}"
    code, steps = outcome = uplink_test(tmp_path, url, *own, "server-name: localhost", "alpn: mqtt")
    check_good(outcome, "resolve", "connect", "TLS")
    assert "client certificate valid for 1" in steps[0]["said"], steps
    outcome = uplink_test(tmp_path, url, *own, "server-name: elsewhere.example")
    check_refused(outcome, "TLS", "certificate", "is for another name")
    outcome = uplink_test(tmp_path, url, own[0])
    check_refused(outcome, "login", "client-certificate", "wants a certificate of this client")


def test_a_broker_without_websocket_is_named(tmp_path, started):
    raw = started(Broker(tmp_path / "raw"))
    code, steps = uplink_test(tmp_path, f"ws://127.0.0.1:{raw.port}")
    assert code == 1 and not steps[-1]["ok"] and steps[-1]["step"] == "WebSocket", steps


@pytest.mark.parametrize(
    ("name", "ca", "cause", "words"),
    [
        ("expired", "ca.pem", "certificate", "has expired; the gateway's clock reads 20"),
        ("future", "ca.pem", "clock", "is not yet valid; the gateway's clock reads 20"),
        ("broker", "other-ca.pem", "certificate", "an authority that is not trusted here"),
    ],
)
def test_a_bad_certificate_is_named(tmp_path, started, plant, name, ca, cause, words):
    broker = started(Broker(tmp_path / "cloud", *tls(plant, name)))
    outcome = uplink_test(tmp_path, f"mqtts://127.0.0.1:{broker.port}", f"ca: {plant / ca}")
    check_refused(outcome, "TLS", cause, words)


def test_a_wrong_password_is_named(tmp_path, started):
    passwords = tmp_path / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", passwords, "me", "right"], check=True)
    passwords.chmod(0o644)
    broker = started(Broker(tmp_path / "cloud", f"password_file {passwords}"))
    secret = tmp_path / "secret"
    lines = ["username: me", f"password: {{ file: {secret} }}"]
    for version in ("3.1.1", "5"):
        for word, good in (("right\n", True), ("wrong", False)):
            secret.write_text(word)
            outcome = uplink_test(tmp_path, f"mqtt://127.0.0.1:{broker.port}", f"mqtt: {version}", *lines)
            if good:
                check_good(outcome, "resolve", "connect")
            else:
                check_refused(outcome, "login", "login", "")
            assert word.strip() not in json.dumps(outcome[1])
    secret.unlink()
    outcome = uplink_test(tmp_path, f"mqtt://127.0.0.1:{broker.port}", *lines)
    check_refused(outcome, "settings", "settings", "the password file")


def test_nobody_no_name_and_silence_are_named(tmp_path, started):
    outcome = uplink_test(tmp_path, f"mqtt://127.0.0.1:{free_port()}")
    check_refused(outcome, "connect", "unreachable", "nothing listens on")
    outcome = uplink_test(tmp_path, "mqtt://no-such-broker.invalid")
    check_refused(outcome, "resolve", "name-not-found", "has no address")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        check_refused(uplink_test(tmp_path, f"mqtt://127.0.0.1:{port}"), "login", "no-answer", "does not answer CONNECT")
        outcome = uplink_test(tmp_path, f"mqtts://127.0.0.1:{port}")
        check_refused(outcome, "TLS", "no-answer", "does not answer TLS")


def test_a_proxy_that_says_no_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def serve():
            near, _ = proxy.accept()
            with near:
                near.recv(4096)
                near.sendall(b"HTTP/1.1 403 Forbidden by policy\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        url = f"proxy: http://127.0.0.1:{proxy.getsockname()[1]}"
        outcome = uplink_test(tmp_path, "mqtt://broker.invalid", url)
        check_refused(outcome, "proxy", "proxy", "403 Forbidden by policy")


def test_a_refusing_broker_is_one_state_and_no_flood(tmp_path, started):
    """It takes the connection and closes it, again and again."""
    accepted = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                near, _ = server.accept()
                accepted.append(1)
                near.close()

        threading.Thread(target=serve, daemon=True).start()
        port = server.getsockname()[1]
        text = (
            "gateway: { name: edge, site: works }\nbroker: {}\n"
            f'uplinks: {{ cloud: {{ url: "mqtt://127.0.0.1:{port}" }} }}\nstore: {{ path: state }}\n'
        )
        text = text.replace("broker: {}", f'broker: {{ listeners: [ {{ tcp: "127.0.0.1:{free_port()}" }} ] }}')
        gateway = started(Gateway(tmp_path / "gateway", text))
        cloud = lambda status: status["uplinks"]["cloud"]
        status = gateway.wait(lambda s: cloud(s)["ends"].get("closed", 0) >= 4, 60, "four attempts")
        # Jittered steps of 1, 2, 4, 8 s at most: never faster than a person can read, mostly slower.
        assert len(accepted) <= 40
        offline = gateway.wait(lambda s: cloud(s)["state"] == "offline", 60, "offline")["uplinks"]["cloud"]
        assert offline["cause"] == "closed" and offline["advice"], offline
        assert gateway.output().count("will retry") == 1, gateway.output()
        shown = subprocess.run([BINARY, "uplink", "status", "cloud", gateway.config], capture_output=True, text=True)
        assert shown.returncode == 0 and "next: " in shown.stdout, (shown, status)
        nobody = subprocess.run([BINARY, "uplink", "status", "x", gateway.config], capture_output=True, text=True)
        assert nobody.returncode == 2 and "there is cloud" in nobody.stderr, nobody


def test_a_list_of_brokers_fails_over_and_keeps_what_works(tmp_path, started):
    first, second = Mosquitto(tmp_path / "first"), started(Mosquitto(tmp_path / "second"))
    url = f'[ "mqtt://127.0.0.1:{first.port}", "mqtt://127.0.0.1:{second.port}" ]'
    text = (
        "gateway: { name: edge, site: works }\n"
        f'broker: {{ listeners: [ {{ tcp: "127.0.0.1:{free_port()}" }} ] }}\n'
        f"uplinks: {{ cloud: {{ url: {url} }} }}\nstore: {{ path: state }}\n"
    )
    gateway = started(Gateway(tmp_path / "gateway", text))
    peer = lambda port: lambda s: (
        s["uplinks"]["cloud"]["state"] == "online" and s["uplinks"]["cloud"]["peer"] == f"127.0.0.1:{port}"
    )
    gateway.wait(peer(second.port), 60, "online at the second")
    started(first)
    second.stop()
    gateway.wait(peer(first.port), 150, "online at the first")
