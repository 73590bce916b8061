"""The LAN broker's listeners, users and rights, with Mosquitto's clients, paho and certificates of openssl."""

import os
import pty
import signal
import socket
import subprocess
import termios

import paho.mqtt.client as mqtt
import pytest

from certificates import authority, certificate
from conftest import BINARY, Gateway, free_port, listening, wait_for

ROLES = """
  roles:
    cell:
      publish: ["cells/{user}/#"]
      subscribe: ["cells/{user}/#"]
"""


def password_line(password):
    """The line that `fieldhold broker password` makes of its standard input."""
    made = subprocess.run([BINARY, "broker", "password"], input=password + "\n", capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith('password: "$argon2id$') and password not in made.stdout
    return made.stdout.strip()


class Plant:
    """A gateway with a listener of each kind, and users."""

    def __init__(self, directory):
        self.directory = directory
        self.tcp, self.tls, self.mutual, self.ws, self.wss = (free_port() for _ in range(5))
        authority(directory)
        certificate(directory, "broker", "broker")
        certificate(directory, "robot", "robot-7")
        self.operator, self.robot_password = password_line("grün secret"), password_line("robot's own")
        self.users = self.with_users()

    def with_users(self, operator="[write]", robot=True):
        text = f"    operator: {{ {self.operator}, roles: {operator} }}\n"
        if robot:
            text += f"    robot-7: {{ {self.robot_password}, roles: [cell] }}\n"
        return text

    def config(self, users=None):
        files = "certificate: broker.pem, key: broker.key"
        return f"""
gateway: {{ name: g }}
store: {{ path: {self.directory}/state }}
broker:
  listeners:
    - {{ tcp: "127.0.0.1:{self.tcp}", anonymous: read }}
    - {{ tls: "127.0.0.1:{self.tls}", {files}, anonymous: false }}
    - {{ tls: "127.0.0.1:{self.mutual}", {files}, client-ca: ca.pem }}
    - {{ ws: "127.0.0.1:{self.ws}" }}
    - {{ wss: "127.0.0.1:{self.wss}", {files} }}
    - {{ unix: mqtt.sock }}
  users:
{users or self.users}{ROLES}"""

    def mosquitto(self, which, *arguments, port=None, seconds=10):
        command = [f"mosquitto_{which}", *map(str, arguments)]
        if port:
            command += ["-h", "localhost", "-p", str(port)]
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds)

    def tls_of(self, client=None):
        files = ["--cafile", self.directory / "ca.pem"]
        if client:
            files += ["--cert", self.directory / f"{client}.pem", "--key", self.directory / f"{client}.key"]
        return files

    LOGIN = ("-u", "operator", "-P", "grün secret")


@pytest.fixture
def plant(tmp_path):
    return Plant(tmp_path)


@pytest.fixture
def gateway(plant, started):
    gateway = started(Gateway(plant.directory, plant.config()))
    wait_for(lambda: listening(plant.tcp) and listening(plant.tls), what="the listeners")
    return gateway


class Client:
    """A paho client that stays, for as long as it is let."""

    def __init__(self, port, user=None, transport="tcp", tls=None, cert=None, topics=()):
        self.messages, self.granted, self.reason, self.gone = [], [], None, None
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, transport=transport, protocol=mqtt.MQTTv5)
        if user:
            self.client.username_pw_set(*user)
        if tls:
            key = cert.with_suffix(".key") if cert else None
            self.client.tls_set(ca_certs=str(tls), certfile=cert and str(cert), keyfile=key and str(key))
        self.client.on_connect = self._connected
        self.client.on_disconnect = lambda c, u, f, reason, p: setattr(self, "gone", reason)
        self.client.on_message = lambda c, u, m: self.messages.append((m.topic, m.payload.decode()))
        self.client.on_subscribe = lambda c, u, m, reasons, p: self.granted.extend(r.value for r in reasons)
        self.topics = topics
        self.client.connect("localhost", port)
        self.client.loop_start()
        wait_for(lambda: self.reason is not None, what="the CONNACK")

    def _connected(self, client, userdata, flags, reason, properties):
        self.reason = reason.value
        if not reason.is_failure:
            for topic in self.topics:
                client.subscribe(topic, 1)

    def kill(self):
        self.client.loop_stop()
        self.client.disconnect()


def test_each_listener_with_its_own_clients(plant, gateway, started):
    watch = started(Client(plant.tcp, topics=["#"]))
    wait_for(lambda: watch.granted, what="the subscription")
    ways = {
        "tls": dict(port=plant.tls, arguments=[*plant.tls_of(), *plant.LOGIN]),
        "mutual": dict(port=plant.mutual, arguments=plant.tls_of("robot")),
        "unix": dict(port=None, arguments=["--unix", plant.directory / "mqtt.sock"]),
    }
    for way, how in ways.items():
        topic = "cells/robot-7/" + way
        sent = plant.mosquitto("pub", "-q", 1, "-t", topic, "-m", way, *how["arguments"], port=how["port"])
        assert sent.returncode == 0, f"{way}: {sent.stderr}"
        wait_for(lambda: (topic, way) in watch.messages, what=f"the message over {way}")
    login = ("operator", "grün secret")
    for way, port, tls in [("ws", plant.ws, None), ("wss", plant.wss, plant.directory / "ca.pem")]:
        client = started(Client(port, user=login, transport="websockets", tls=tls, topics=["cells/#"]))
        assert client.reason == 0
        wait_for(lambda: client.granted == [1], what="the subscription")
        # More than one frame of ours, and more than one read.
        payload = way * 60_000
        client.client.publish("cells/x/" + way, payload, 1).wait_for_publish(10)
        for one in (client, watch):
            wait_for(lambda: ("cells/x/" + way, payload) in one.messages, what=f"the message over {way}")
    status = gateway.status()["broker"]
    ends = [listener["certificate_ends_ms"] for listener in status["listeners"]]
    assert [listener["kind"] for listener in status["listeners"]] == ["tcp", "tls", "tls", "ws", "wss", "unix"]
    assert [end is not None for end in ends] == [False, True, True, False, True, False]
    shown = subprocess.run([BINARY, "status", gateway.config], capture_output=True, text=True).stdout
    assert "certificate valid for 59 days" in shown, shown


def test_who_is_not_let_in(plant, gateway):
    pub = ["-q", 1, "-t", "cells/robot-7/x", "-m", "x"]
    tls = plant.tls_of()
    # Return codes of MQTT 3.1.1: 4 for a wrong name or password, 5 for not authorised.
    for code, login in [(4, ["-u", "operator", "-P", "wrong"]), (4, ["-u", "nobody", "-P", "grün secret"]), (5, [])]:
        refused = plant.mosquitto("pub", *pub, *tls, *login, port=plant.tls)
        assert refused.returncode == code, refused.stderr
    assert plant.mosquitto("pub", *pub, *tls, port=plant.mutual).returncode != 0, "no certificate"
    known = plant.mosquitto("pub", *pub, *plant.tls_of("broker"), port=plant.mutual)
    assert known.returncode == 5, "a certificate of the plant for a name that is no user"
    assert gateway.status()["broker"]["logins_refused"] == 4


def test_rights_are_kept(plant, gateway, started):
    robot = started(Client(plant.mutual, tls=plant.directory / "ca.pem", cert=plant.directory / "robot.pem",
                           topics=["cells/robot-7/#", "cells/other/#", "#"]))
    wait_for(lambda: len(robot.granted) == 3, what="the answers")
    assert robot.granted == [1, 0x87, 0x87]
    denied = plant.mosquitto("pub", "-V", "5", "-q", 1, "-t", "cells/other/x", "-m", "x", *plant.tls_of("robot"),
                             port=plant.mutual)
    assert "Not authorized" in denied.stderr + denied.stdout, denied
    quiet = plant.mosquitto("pub", "-q", 1, "-t", "cells/other/x", "-m", "x", *plant.tls_of("robot"), port=plant.mutual)
    assert quiet.returncode == 0, "MQTT 3.1.1 has no word for it"
    reader = plant.mosquitto("pub", "-V", "5", "-q", 1, "-t", "x", "-m", "x", port=plant.tcp)
    assert "Not authorized" in reader.stderr + reader.stdout, "anonymous clients may only read"
    gateway.wait(lambda s: s["broker"]["dropped"]["denied"] == 3, what="the count")


def test_a_reload_disconnects_only_those_who_are_not_allowed_any_more(plant, gateway, started):
    ca = plant.directory / "ca.pem"
    operator = started(Client(plant.tls, user=("operator", "grün secret"), tls=ca, topics=["cells/#"]))
    robot = started(Client(plant.mutual, tls=ca, cert=plant.directory / "robot.pem", topics=["cells/robot-7/#"]))
    wait_for(lambda: operator.granted and robot.granted, what="the subscriptions")
    certificate(plant.directory, "broker", "renewed")
    robot.client.reconnect_delay_set(60, 60)
    gateway.write(plant.config(plant.with_users(robot=False)))
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: robot.gone is not None, what="the end of the robot's connection")
    assert robot.gone.value == 0x98, "administrative action"

    def served():
        shown = subprocess.run(["openssl", "s_client", "-connect", f"localhost:{plant.tls}"], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=10)
        return "renewed" in shown.stdout

    wait_for(served, what="the renewed certificate")
    operator.client.publish("cells/x", "still here", 1).wait_for_publish(10)
    wait_for(lambda: ("cells/x", "still here") in operator.messages, what="the operator's own message")
    assert operator.gone is None
    # A mistake changes nothing: the certificate does not belong to the key.
    before = gateway.status()["broker"]["uptime_s"]
    gateway.write(plant.config().replace("certificate: broker.pem, key: broker.key", "certificate: broker.pem, key: robot.key"))
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: "configuration not taken" in gateway.output(), what="the refusal")
    assert operator.gone is None and gateway.status()["broker"]["uptime_s"] >= before


def test_old_protocols_are_not_spoken(plant, gateway):
    for version, works in [("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)]:
        shown = subprocess.run(["openssl", "s_client", version, "-cipher", "ALL:@SECLEVEL=0", "-connect",
                                f"localhost:{plant.tls}"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)
        assert ("BEGIN CERTIFICATE" in shown.stdout) == works, f"{version}\n{shown.stdout}\n{shown.stderr}"


def check(directory, text):
    path = directory / "check.yaml"
    path.write_text(text)
    checked = subprocess.run([BINARY, "check", path], capture_output=True, text=True)
    # A gateway that is a broker alone is not what this is about.
    lines = [line for line in checked.stderr.splitlines() if "nothing to do" not in line]
    return checked.returncode, checked.stdout, lines


def test_check_reads_the_certificates(plant):
    code, plan, said = check(plant.directory, plant.config())
    assert (code, said) == (0, [])
    assert f"LAN broker on tls 127.0.0.1:{plant.mutual}, for users with a certificate" in plan
    certificate(plant.directory, "soon", "soon", days=9)
    for old, new, place, words in [
        ("key: broker.key }", "key: robot.key }", "listeners[4].key", "does not belong to the key"),
        ("client-ca: ca.pem", "client-ca: none.pem", "listeners[2].client-ca", "can't be read: No such file"),
        ("client-ca: ca.pem", "client-ca: robot.key", "listeners[2].client-ca", "is not a valid PEM file"),
    ]:
        code, _, said = check(plant.directory, plant.config().replace(old, new))
        assert code == 2 and len(said) == 1, said
        assert "check.yaml:" in said[0] and place in said[0] and words in said[0], said
    code, _, said = check(plant.directory, plant.config().replace("broker.pem, key: broker.key, anonymous", "soon.pem, key: soon.key, anonymous"))
    assert code == 0 and "warning: broker.listeners[1].certificate: the certificate is valid for 8 more days" in said[0], said


def test_a_password_is_asked_for_twice_and_not_shown():
    def ask(*answers):
        main, side = pty.openpty()
        child = subprocess.Popen([BINARY, "broker", "password"], stdin=side, stderr=side, stdout=subprocess.PIPE, text=True)
        os.close(side)
        screen = ""
        for prompt, answer in zip(("Password: ", "Once more: "), answers):
            while not screen.endswith(prompt):
                screen += os.read(main, 100).decode()
            assert not termios.tcgetattr(main)[3] & termios.ECHO, "whoever types at once is not seen either"
            os.write(main, answer.encode() + b"\n")
        out, _ = child.communicate(timeout=15)
        return child.returncode, out, screen

    code, out, screen = ask("s3cret", "s3cret")
    assert code == 0 and out.startswith('password: "$argon2id$') and "s3cret" not in screen + out
    code, out, _ = ask("s3cret", "other")
    assert code == 2 and out == ""
    empty = subprocess.run([BINARY, "broker", "password"], input="\n", capture_output=True, text=True)
    assert empty.returncode == 2 and "the password is empty" in empty.stderr


def test_a_stale_socket_is_replaced(plant, started):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(plant.directory / "mqtt.sock"))
    gateway = started(Gateway(plant.directory, plant.config()))
    gateway.wait(lambda s: s["broker"] is not None, what="the broker")
    path = plant.directory / "mqtt.sock"
    assert path.stat().st_mode & 0o777 == 0o660
    sent = plant.mosquitto("pub", "--unix", path, "-t", "x", "-m", "x")
    assert sent.returncode == 0, sent.stderr
    assert gateway.stop() == 0
    assert not path.exists()


def test_new_limits_hold_while_clients_stay(plant, gateway, started):
    stays = started(Client(plant.tcp, topics=["cells/#"]))
    wait_for(lambda: stays.granted, what="the subscription")
    sender = started(Client(plant.tcp, user=("operator", "grün secret")))
    uptime = gateway.status()["broker"]["uptime_s"]
    gateway.write(plant.config() + "  limits: { packets-per-second: 50, topic-levels: 3 }\n")
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: "configuration taken" in gateway.output(), what="the reload")
    for number in range(120):
        sender.client.publish("cells/1", str(number), qos=1)
    wait_for(lambda: len(stays.messages) == 120, what="every message, at the pace that is allowed")
    assert [payload for _, payload in stays.messages] == [str(number) for number in range(120)]
    broker = gateway.status()["broker"]
    assert broker["held_back"] > 0 and broker["uptime_s"] >= uptime
    sender.client.publish("cells/1/2/3", "too deep")
    wait_for(lambda: sender.gone is not None, what="the end of the client with the deep topic")
    assert stays.gone is None
