"""The world around the reader of a how-to: a machine with its own network and its own /dev/serial, on which
the devices and brokers stand at the addresses that the text names. Started by test_documents.py, in namespaces that end with it.
"""

import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import threading
import tty

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import certificates  # noqa: E402
from conftest import BINARY, Mosquitto, Process, listening, wait_for  # noqa: E402

from walk import Walk  # noqa: E402

METER, CLOUD = "192.168.1.40", "192.168.1.10"
VALUES = ("voltage_l1=231.4", "voltage_l2=230.9", "power_active=4210")  # what the meter shows


class World:
    """The machine, and who is to be ended on it."""

    def __init__(self, directory):
        self.directory, self.names, self.started = directory, ["127.0.0.1 localhost"], []
        self.clients = None  # of the broker, if it is one that takes no others
        for line in ("ip link set lo up", f"ip addr add {METER}/32 dev lo", f"ip addr add {CLOUD}/32 dev lo"):
            subprocess.run(line.split(), check=True)
        # The tools of a reader: the program, and a sudo that has nothing to ask.
        tools = directory / "bin"
        tools.mkdir()
        (tools / "fieldhold").symlink_to(BINARY)
        (tools / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
        (tools / "sudo").chmod(0o755)
        self.home = directory / "home"
        self.home.mkdir()
        self.environment = {
            "PATH": f"{tools}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "dumb",
        }

    def start(self, process):
        self.started.append(process.start())
        return process

    def name(self, address, name):
        """A name of the network, as its DNS would give it."""
        self.names.append(f"{address} {name}")
        hosts = self.directory / "hosts"
        hosts.write_text("\n".join(self.names) + "\n")
        if len(self.names) == 2:
            subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)

    def meter(self, *options):
        """The meter of the how-tos on Modbus TCP."""
        sets = [word for value in VALUES for word in ("--set", f"eastron-sdm630.{value}")]
        self.start(Process([BINARY, "simulate", "--profile", "eastron-sdm630", "--listen", f"{METER}:502", *sets, *options],
                           self.directory / "meter.log"))
        wait_for(lambda: listening(502, METER), what="the meter")

    def broker(self, name, port=1883, tls=None, user=None):
        self.name(CLOUD, name)
        broker = Mosquitto(self.directory / name, port, CLOUD)
        more = ""
        if tls:
            more += f"cafile {tls}/ca.pem\ncertfile {tls}/server.pem\nkeyfile {tls}/server.key\nrequire_certificate true\n"
        if user:
            passwords = broker.log.with_name("passwords")
            subprocess.run(["mosquitto_passwd", "-c", "-b", passwords, *user], check=True)
            more += f"password_file {passwords}\n"
        conf = broker.arguments[-1]
        text = pathlib.Path(conf).read_text()
        pathlib.Path(conf).write_text(text.replace("allow_anonymous true", f"allow_anonymous {'false' if user else 'true'}") + "user root\n" + more)
        return self.start(broker)

    def serial(self, name, answer):
        """A sensor on a serial adapter: `answer` makes what it says of what it was asked."""
        if os.path.isdir("/dev/serial"):  # that of this machine
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/serial"], check=True)
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        by_id = pathlib.Path("/dev/serial/by-id")
        by_id.mkdir(parents=True, exist_ok=True)
        (by_id / name).symlink_to(os.ttyname(theirs))

        def serve():
            asked = b""
            while True:
                select.select([ours], [], [])
                asked += os.read(ours, 256)
                while b"\n" in asked:
                    line, asked = asked.split(b"\n", 1)
                    os.write(ours, answer(line.strip()))

        threading.Thread(target=serve, daemon=True).start()

    def check(self):
        """A service whose policy names a client refuses all others; Mosquitto can't, and says who came."""
        if self.clients:
            broker, allowed = self.clients
            came = set(re.findall(r"New client connected from \S+ as (\S+) ", broker.log.read_text()))
            assert came == allowed, f"the policy allows {allowed}, and {came} came"

    def close(self):
        for process in reversed(self.started):
            process.kill()


def first_meter(world):
    world.meter("--fixed")


def scale(world):
    world.serial("usb-FTDI_FT232R_USB_UART_A10K3X7Z-if00-port0", lambda asked: b"S S     12.345 kg\r\n" if asked == b"SI" else b"ES\r\n")


def aws(world):
    """A broker with the name of an account's endpoint, which knows clients by their certificate alone."""
    world.meter()
    name = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com"
    there = world.directory / "aws"
    there.mkdir()
    certificates.authority(there)
    certificates.certificate(there, "server", name, names=f"DNS:{name}")
    certificates.certificate(there, "client", "press-line-3")
    for file, as_named in (("ca.pem", "AmazonRootCA1.pem"), ("client.pem", "certificate.pem.crt"), ("client.key", "private.pem.key")):
        shutil.copy(there / file, world.home / as_named)
    world.clients = world.broker(name, 8883, tls=there), {"press-line-3"}


def sparkplug(world):
    world.meter()
    world.broker("broker.plant")


def home_assistant(world):
    world.meter()
    world.broker("homeassistant.local", user=("gateway1", "the password of gateway1"))


def outage(world):
    world.meter()
    world.broker("broker.example")


WORLDS = {world.__name__.replace("_", "-"): world for world in (first_meter, scale, aws, sparkplug, home_assistant, outage)}


def main(document, directory):
    world = World(directory)
    walk = Walk(world.home, world.environment)
    try:
        WORLDS[document.stem](world)
        walk.document(document)
        world.check()
    finally:
        walk.close()
        world.close()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]))
