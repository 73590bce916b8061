"""Serial sensors over socat pseudo terminals, with the real binary: a pushed and a polled one, noise
and damaged frames between, unplugged and plugged in again; and `fieldhold frame` on the same bytes."""

import json
import os
import select
import subprocess
import termios
import threading
import time
import tty

import pytest

from conftest import BINARY, Gateway, Process, Recorder, free_port, wait_for


class Line:
    """A pair of pseudo terminals: `ours` is the gateway's port, we sit at the other end."""

    def __init__(self, directory, name, answer=None):
        self.ours, self.theirs = directory / name, directory / f"{name}-sensor"
        self.log, self.answer, self.fd, self.socat, self.alive = directory / f"{name}.log", answer, None, None, True
        self.sent = 0

    def start(self):
        self.plug()
        if self.answer:
            threading.Thread(target=self._serve, daemon=True).start()
        return self

    def plug(self):
        self.socat = Process(
            ["socat", f"pty,raw,echo=0,link={self.ours}", f"pty,raw,echo=0,link={self.theirs}"], self.log
        ).start()
        wait_for(lambda: self.ours.exists() and self.theirs.exists(), what="the line")
        fd = os.open(self.theirs, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(fd, termios.TCSANOW)
        self.fd = fd

    def unplug(self):
        fd, self.fd = self.fd, None
        os.close(fd)
        self.socat.kill()

    def kill(self):
        self.alive = False
        if self.fd is not None:
            self.unplug()

    def say(self, data):
        if self.fd is not None:
            os.write(self.fd, data)

    def _serve(self):
        asked = b""
        while self.alive:
            fd = self.fd
            if fd is None:
                time.sleep(0.02)
                continue
            try:
                if not select.select([fd], [], [], 0.1)[0]:
                    continue
                asked += os.read(fd, 256)
                while b"\r\n" in asked:
                    question, asked = asked.split(b"\r\n", 1)
                    self.say(self.answer(question))
            except OSError:
                asked = b""


def hdt(degrees, damaged=False):
    body = f"GPHDT,{degrees:.2f},T"
    sum_ = 0
    for c in body.encode():
        sum_ ^= c
    if damaged:
        body = body.replace("GPHDT,", "GPHDT,9")
    return f"${body}*{sum_:02X}\r\n".encode()


CONFIG = """
gateway: {{ name: edge, site: works }}
buses:
  compass: {{ serial: {{ port: {compass}, preset: nmea-0183, silent-after: 2s }} }}
  scale: {{ serial: {{ port: {scale}, preset: mt-sics, poll: {{ every: 100ms, timeout: 500ms }} }} }}
devices:
  ship: {{ bus: compass, tags: {{ heading: {{ field: heading }} }} }}
  scale:
    bus: scale
    tags:
      weight: {{ field: weight, unit: kg }}
      status: {{ field: status, publish: changes }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan}" }} ] }}
store: {{ path: state, commit: 100ms }}
"""


def test_a_pushed_and_a_polled_sensor_through_noise_and_replugging(tmp_path, started):
    weights = []

    def scale(question):
        """Every third answer is damaged, every fifth is an overload, the others count up."""
        number = len(weights)
        weights.append(number)
        if number % 5 == 4:
            return b"S +\r\n"
        answer = f"S S {number + 100:10.2f} g\r\n".encode()
        return answer.replace(b".", b"\xff") if number % 3 == 2 else answer

    compass = started(Line(tmp_path, "compass"))
    line = started(Line(tmp_path, "scale", scale))
    lan = free_port()
    config = CONFIG.format(compass=compass.ours, scale=line.ours, lan=lan)
    gateway = started(Gateway(tmp_path / "gw", config))
    gateway.wait(lambda s: s["broker"])
    at_lan = started(Recorder(lan))
    up = lambda s: all(s["buses"][b]["state"]["state"] == "up" for b in ("compass", "scale"))
    gateway.wait(up, what="both lines up")

    sent = []
    for step in range(60):
        compass.say(os.urandom(7).replace(b"$", b"x").replace(b"\r", b"y"))
        if step % 4 == 3:
            compass.say(hdt(step, damaged=True))
        else:
            sent.append(float(step))
            compass.say(hdt(step))
        time.sleep(0.01)
    heading = "works/edge/ship/heading"
    wait_for(lambda: (at_lan.last(heading) or {}).get("v") == sent[-1], what="the last heading")
    got = [json.loads(m.payload) for m in at_lan.on(heading)]
    values = [m["v"] for m in got if m["v"] is not None]
    assert values == sent, "every sound sentence and nothing else"
    assert all(m.get("u") == "°" for m in got)

    weight = "works/edge/scale/weight"
    wait_for(lambda: len(at_lan.on(weight)) > 20, what="weights")
    served = {round((n + 100) / 1000, 6) for n in range(len(weights) + 1) if n % 5 != 4 and n % 3 != 2}
    qualities = set()
    for message in at_lan.on(weight):
        reading = json.loads(message.payload)
        qualities.add(reading.get("q", "good"))
        if reading["v"] is not None:
            assert reading["v"] in served, reading
    assert {"good", "bad:overload", "bad:bad-answer"} <= qualities, qualities

    status = gateway.status()
    counters = status["buses"]["compass"]["sensor"]
    assert counters["damaged"] == 15 and counters["frames"] == 45 and counters["noise_bytes"] > 0, counters
    shown = subprocess.run([BINARY, "status", gateway.config], capture_output=True, text=True, check=True).stdout
    assert "45 frames" in shown and "15 damaged" in shown, shown

    # A sensor that says nothing is a state, and its value is bad; the last it said was damaged.
    wait_for(lambda: (at_lan.last(heading) or {}).get("q") == "bad:bad-answer", what="silence")
    assert gateway.status()["buses"]["compass"]["devices"][0]["state"]["state"] == "silent"

    for number in range(3):
        compass.unplug()
        line.unplug()
        down = lambda s: all(s["buses"][b]["state"]["state"] == "down" for b in ("compass", "scale"))
        gateway.wait(down, what="both lines down")
        wait_for(lambda: at_lan.last(weight).get("q") == "bad:link-down", what="bad weights")
        compass.plug()
        line.plug()
        since = time.monotonic()
        gateway.wait(up, what="both lines up again")
        def pushed():
            compass.say(hdt(200 + number))
            return (at_lan.last(heading) or {}).get("v") == 200.0 + number
        wait_for(pushed, what="a heading after replugging")
        wait_for(lambda: at_lan.last(weight).get("v") is not None, what="a weight after replugging")
        assert time.monotonic() - since < 10


def frame(*arguments, stdin=b""):
    run = subprocess.run([BINARY, "frame", *map(str, arguments)], input=stdin, capture_output=True)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


def test_frame_shows_what_bytes_mean(tmp_path):
    code, out, _ = frame("--preset", "mt-sics", "--text", r"S S     100.00 g\r\nS +\r\nS S 1.\r\n")
    assert code == 0
    assert "100 g" in out and "good" in out and "bad:overload" in out, out
    assert "2 frames, 1 of no known form" in out, out
    code, out, _ = frame("--preset", "nmea-0183", stdin=hdt(74.2) + hdt(74.2, damaged=True) + b"noise")
    assert code == 0 and "74.2 °" in out and "would be right" in out and "nothing that begins" in out, out
    code, out, _ = frame("--preset", "toledo-continuous", "--hex", "02 2C 30 20 303132333435 303030303030 0D")
    assert code == 0 and "123.45 kg" in out, out
    code, out, _ = frame("--preset", "sml", "--hex", "1b1b1b1b")
    assert code == 1 and "0 frames" in out, out
    file = tmp_path / "capture"
    file.write_bytes(b"4006381333931\r")
    code, out, _ = frame("--preset", "barcode", file)
    assert code == 0 and "4006381333931" in out


def test_frame_says_what_is_wrong_with_its_input(tmp_path):
    for arguments, words in [
        (("--preset", "mt-sic", "--hex", "00"), "did you mean mt-sics?"),
        (("--preset", "mt-sics", "--hex", "0"), "odd number"),
        (("--preset", "mt-sics", "--text", r"\q"), "is unknown"),
        ((), "--preset"),
    ]:
        code, _, err = frame(*arguments)
        assert code == 2 and words in err, (arguments, code, err)
    code, _, err = frame("--preset", "mt-sics", tmp_path / "nothing")
    assert code == 1 and "can't open" in err, err
    code, out, _ = frame("--list")
    assert code == 0 and "iec-62056-21" in out.split()


def test_frame_listens_to_a_bus_of_a_configuration(tmp_path, started):
    line = started(Line(tmp_path, "scale", lambda question: b"S D     129.07 g\r\n"))
    compass = tmp_path / "no-port"
    (tmp_path / "f.yaml").write_text(CONFIG.format(compass=compass, scale=line.ours, lan=free_port()))
    config = ("--config", tmp_path / "f.yaml")
    code, out, err = frame(*config, "--bus", "scale", "--live", "--seconds", 2)
    assert code == 0 and "129.07 g" in out and "uncertain:unstable" in out, (out, err)
    code, _, err = frame(*config, "--bus", "scales", "--live")
    assert code == 2 and "compass, scale" in err, err
    code, _, err = frame(*config, "--bus", "compass", "--live")
    assert code == 1 and "plugged in" in err, err
    code, out, _ = frame("--preset", "mt-sics", "--port", line.ours, "--seconds", 3)
    assert code == 0 and "129.07 g" in out, out
    checked = subprocess.run([BINARY, "check", tmp_path / "f.yaml"], capture_output=True, text=True, check=True)
    assert "serial mt-sics" in checked.stdout and "asked every 100ms" in checked.stdout, checked.stdout
    assert "field weight" in checked.stdout and "in kg" in checked.stdout
