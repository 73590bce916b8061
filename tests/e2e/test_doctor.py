"""One planted fault each, and the doctor's word about it."""

import json
import os
import pathlib
import pty
import shutil
import socket
import subprocess

import pytest
from certificates import authority, certificate, dated
from conftest import BINARY, Gateway, free_port, wait_for
from test_disk import SmallDisk

NOBODY = 65534
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else, or to mount: NOT TESTED")


def binary_of_all(directory):
    """The program where everybody may run it."""
    try:
        subprocess.run([BINARY, "--version"], user=NOBODY, group=NOBODY, capture_output=True, timeout=30, check=True)
    except (PermissionError, subprocess.CalledProcessError):
        shutil.copy(BINARY, directory / "fieldhold")
        (directory / "fieldhold").chmod(0o755)
        return directory / "fieldhold"
    return BINARY


class Site:
    def __init__(self, directory):
        self.directory, self.config = directory, directory / "fieldhold.yaml"

    def write(self, *lines):
        text = "\n".join(["gateway: { name: g }", "store: { path: state }", *lines])
        self.config.write_text(text + ("" if "\nweb:" in text else "\nweb: off") + "\n")

    def doctor(self, **options):
        binary = binary_of_all(self.directory) if options else BINARY
        ran = subprocess.run(
            [binary, "doctor", self.config, "--json"], capture_output=True, text=True, timeout=60, **options
        )
        assert ran.stdout, ran
        return ran.returncode, json.loads(ran.stdout)

    def finds(self, about, *words, level="bad", **options):
        code, findings = self.doctor(**options)
        for finding in findings:
            if finding["about"] == about and finding["level"] == level and all(w in finding["text"] for w in words):
                assert finding["next"], "what to do is said"
                assert code == 1 or level != "bad"
                return finding
        raise AssertionError(f"{about} {words} not among {json.dumps(findings, indent=1)}")


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_nothing_to_mend(site):
    site.write()
    code, findings = site.doctor()
    assert code == 0 and not [f for f in findings if f["level"] == "bad"], findings
    shown = subprocess.run([BINARY, "doctor", site.config], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0 and "nothing to mend" in shown.stdout, shown


def test_a_mistake_in_the_configuration(site):
    site.write("uplinks: { c: { url: 3 } }")
    site.finds("configuration", "uplinks.c.url")


@root
def test_a_state_directory_of_somebody_else(site):
    site.write()
    for directory in site.directory, site.directory.parent, site.directory.parent.parent:
        directory.chmod(0o755)
    (site.directory / "state").mkdir(mode=0o755)
    site.config.chmod(0o644)
    site.finds("permissions", "state can't be written", user=NOBODY, group=NOBODY)


@root
def test_a_full_disk(site, started):
    disk = started(SmallDisk(site.directory / "state"))
    disk.fill()
    site.write()
    site.finds("disk", "0 MB of")


@root
def test_a_read_only_disk(site, started):
    disk = started(SmallDisk(site.directory / "state"))
    subprocess.run(["mount", "-o", "remount,ro", disk.directory], check=True)
    site.write()
    site.finds("disk", "read-only")


def test_a_port_that_is_taken(site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site.write('broker: { listeners: [ { tcp: "127.0.0.1:%d" } ] }' % port)
        site.finds("ports", "the LAN broker", str(port))


def test_a_serial_port_that_is_not_there(site):
    site.write(
        "buses: { b: { modbus-rtu: { port: /dev/ttyNONE, baud: 9600 } } }",
        "devices: { d: { bus: b, unit: 1, tags: { t: { holding: 0, type: u16 } } } }",
    )
    site.finds("serial port", "/dev/ttyNONE")


def test_a_serial_port_that_is_the_console(site):
    consoles = [f"/dev/{line.split()[0]}" for line in pathlib.Path("/proc/consoles").read_text().splitlines()]
    ports = [port for port in consoles if os.access(port, os.R_OK | os.W_OK)]
    if not ports:
        pytest.skip("SKIPPED: no console is on a port here; the unit tests have one")
    site.write(
        "buses: { b: { modbus-rtu: { port: %s, baud: 9600 } } }" % ports[0],
        "devices: { d: { bus: b, unit: 1, tags: { t: { holding: 0, type: u16 } } } }",
    )
    found = site.finds("serial port", "its console on", ports[0])
    assert "raspi-config" in found["next"]


@root
def test_a_serial_port_that_may_not_be_used(site):
    ours, theirs = pty.openpty()
    port = os.ttyname(theirs)
    os.chmod(port, 0o600)
    site.write(
        "buses: { b: { modbus-rtu: { port: %s, baud: 9600 } } }" % port,
        "devices: { d: { bus: b, unit: 1, tags: { t: { holding: 0, type: u16 } } } }",
    )
    for directory in site.directory, site.directory.parent, site.directory.parent.parent:
        directory.chmod(0o755)
    site.config.chmod(0o644)
    found = site.finds("permissions", port, user=NOBODY, group=NOBODY)
    assert "usermod -aG" in found["next"]
    os.close(ours), os.close(theirs)


def listener(name="web", key="web"):
    return 'broker: { listeners: [ { tls: "127.0.0.1:%d", certificate: %s.pem, key: %s.key } ] }' % (
        free_port(), name, key,
    )


def test_a_certificate_that_ended(site):
    dated(site.directory, "old", 2020, 2021)
    site.write(listener("old", "old"))
    site.finds("certificate", "old.pem ended 2021")


def test_a_certificate_that_is_not_valid_yet(site):
    dated(site.directory, "new", 2090, 2091)
    site.write(listener("new", "new"))
    found = site.finds("certificate", "new.pem is not valid yet", "the clock reads")
    assert "clock" in found["next"]


def test_a_key_of_another_certificate(site):
    authority(site.directory)
    certificate(site.directory, "web", "web")
    certificate(site.directory, "other", "other")
    site.write(listener("web", "other"))
    site.finds("certificate", "does not belong to the key")


def test_a_certificate_that_ends_soon(site):
    authority(site.directory)
    certificate(site.directory, "web", "web", days=9)
    site.write(listener())
    site.finds("certificate", "web.pem is valid for 8 more days", level="doubt")


def test_a_secret_that_is_missing_and_one_that_lies_open(site):
    uplink = 'uplinks: { c: { url: "mqtt://127.0.0.1:1", username: u, password: { file: c.password } } }'
    site.write(uplink)
    site.finds("secrets", "c.password can't be read")
    (site.directory / "c.password").write_text("secret")
    (site.directory / "c.password").chmod(0o644)
    site.finds("secrets", "everybody may read", "c.password")


def test_a_name_that_nobody_knows(site):
    site.write('uplinks: { c: { url: "mqtt://broker.invalid:1883" } }')
    site.finds("names", "broker.invalid")


def test_a_broker_that_is_open_to_the_network(site):
    site.write('broker: { listeners: [ { tcp: "0.0.0.0:%d", anonymous: true } ] }' % free_port())
    site.finds("access", "without a password")


def test_a_store_that_is_damaged(site, started):
    site.write('uplinks: { c: { url: "mqtt://127.0.0.1:1" } }')
    g = started(Gateway(site.directory, site.config.read_text()))
    g.stop()
    file = site.directory / "state/store/queue.db"
    data = bytearray(file.read_bytes())
    data[100:3000] = os.urandom(2900)
    file.write_bytes(data)
    (site.directory / "state/store/queue.db-wal").unlink(missing_ok=True)
    site.finds("store", "queue.db")


def test_a_store_that_was_set_aside(site, started):
    site.write('uplinks: { c: { url: "mqtt://127.0.0.1:1" } }')
    g = started(Gateway(site.directory, site.config.read_text()))
    g.stop()
    (site.directory / "state/store/queue.db").write_bytes(os.urandom(8192))
    (site.directory / "state/store/queue.db-wal").unlink(missing_ok=True)
    started(g)
    g.stop()
    site.finds("store", "was set aside")


def test_a_part_of_a_running_gateway_that_is_down(site, started):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        site.write('broker: { listeners: [ { tcp: "127.0.0.1:%d" } ] }' % taken.getsockname()[1])
        g = started(Gateway(site.directory, site.config.read_text()))
        g.wait(lambda status: status["units"]["broker"]["state"] == "waiting")
        site.finds("gateway", "broker is down")
        assert g.stop() == 0
    wait_for(lambda: site.doctor()[0] == 0, what="that all is well")
