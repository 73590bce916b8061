"""An upgrade with readings waiting for a cloud that is away: taken if it is well, and else taken back, nothing lost."""

import fcntl
import os
import pathlib
import time

from conftest import CONFIG, e2e, network_of, remade, wait_for
from plant import CountingDevice

# Readings that wait while versions come and go.
QUEUE = int(os.environ.get("FIELDHOLD_UPGRADE_QUEUE", "100000"))
TAGS = 120
DEAF = "/var/lib/fieldhold/deaf.yaml"


def ends_at_once(tree):
    (tree / "usr/bin/fieldhold").write_text("#!/bin/sh\nexit 1\n")


def hangs(tree):
    """It tells its service manager nothing."""
    (tree / "usr/bin/fieldhold").write_text("#!/bin/sh\nexec sleep 600\n")


def is_deaf(tree):
    """It is well in itself, but looks for its devices where there are none."""
    unit = tree / "usr/lib/systemd/system/fieldhold.service"
    unit.write_text(unit.read_text().replace(CONFIG, DEAF))


def configuration(device_port, cloud_port):
    tags = "\n".join(f"      t{n}: {{ holding: {n}, type: u16 }}" for n in range(2, TAGS + 2))
    buses = "\n".join(f"  line{n}: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device_port} }} }}" for n in range(4))
    devices = "\n".join(f"  press{n}:\n    bus: line{n}\n    every: 20ms\n    tags:\n{tags}" for n in range(4))
    return f"""
gateway: {{ name: edge, site: works }}
buses:
{buses}
devices:
{devices}
web: off
uplinks: {{ cloud: {{ url: "mqtt://127.0.0.1:{cloud_port}", send: [ "#" ] }} }}
"""


def sums(status):
    """Of all that was read: how many readings, how many of them wait, how many were dropped."""
    rows = [row for consumer in status["store"]["consumers"] for row in consumer["classes"]]
    return tuple(sum(row[word] for row in rows) for word in ["appended", "waiting", "dropped"])


def install(machine, package):
    """With less patience than a plant has: what hangs is given up after seconds."""
    machine.run("dpkg", "-i", machine.put(package, "/root/first.deb"))
    with open(f"{machine.root}/etc/default/fieldhold", "a") as settings:
        settings.write("FIELDHOLD_UPGRADE_LIMIT=30\nFIELDHOLD_UPGRADE_STEADY=5\n")
    drop_ins = pathlib.Path(f"{machine.root}/etc/systemd/system/fieldhold.service.d")
    drop_ins.mkdir()
    (drop_ins / "patience.conf").write_text("[Service]\nTimeoutStartSec=15\n")
    machine.run("systemctl", "daemon-reload")
    wait_for(machine.status, 60, "the gateway's status")


def upgrade(machine, *words, code):
    done = machine.try_("fieldhold-upgrade", *words)
    said = done.stdout + done.stderr
    assert done.returncode == code, f"{done.returncode}\n{said}\n{machine.journal()}"
    return said


def test_versions_come_and_go_over_a_queue(machine, package, tmp_path):
    new = machine.put(remade(package, tmp_path / "new.deb", "0.1.0-2"))
    broken = machine.put(remade(package, tmp_path / "ends.deb", "0.1.0-3", ends_at_once))
    silent = machine.put(remade(package, tmp_path / "hangs.deb", "0.1.0-4", hangs))
    refused = machine.put(remade(package, tmp_path / "refuses.deb", "0.1.0-5", refuses))
    cloud = e2e.Mosquitto(tmp_path / "cloud")
    with network_of(machine):
        device = CountingDevice()
    machine.configure(configuration(device.port, cloud.port))
    install(machine, package)
    filled = lambda: (status := machine.status()) and sums(status)[1] >= QUEUE and sums(status)
    appended, _, dropped = wait_for(filled, 600, f"{QUEUE} readings that wait")
    assert dropped == 0

    def intact(version):
        nonlocal appended
        assert machine.version() == version
        status = wait_for(machine.status, 30, "the gateway's status")
        now, waiting, dropped = sums(status)
        assert now > appended and waiting == now and dropped == 0, (appended, now, waiting, dropped)
        appended = now

    said = upgrade(machine, broken, code=1)
    assert "going back to 0.1.0-1" in said, said
    intact("0.1.0-1")
    said = upgrade(machine, silent, code=1)
    assert "is not ready" in said, said
    intact("0.1.0-1")
    said = upgrade(machine, new, code=0)
    assert "0.1.0-2 runs and is well" in said, said
    intact("0.1.0-2")
    # What is not taken leaves the way back as it was.
    upgrade(machine, refused, code=1)
    intact("0.1.0-2")
    upgrade(machine, "--back", code=0)
    intact("0.1.0-1")

    with network_of(machine):
        cloud.start()
        recorder = e2e.Recorder(cloud.port)
    try:
        device.close()
        drained = lambda: (status := machine.status()) and sums(status)[1] == 0 and sums(status)
        appended, _, dropped = wait_for(drained, 600, "the backlog's delivery")
        assert dropped == 0
        arrived = lambda: {key for _, _, _, key in e2e.readings(recorder.messages) if key}
        wait_for(lambda: len(arrived()) >= appended, 60, f"{appended} readings")
        print(f"{appended} readings, {len(arrived())} arrived, {sum(1 for _ in e2e.readings(recorder.messages))} deliveries")
    finally:
        recorder.close()
        cloud.kill()


def test_what_was_well_and_is_not_takes_the_new_version_back(machine, package, tmp_path):
    """The new version is ready and answers, but reaches no device."""
    with network_of(machine):
        device = CountingDevice()
    machine.configure(configuration(device.port, 1))
    machine.configure(configuration(1, 1), DEAF)
    install(machine, package)
    deaf = machine.put(remade(package, tmp_path / "deaf.deb", "0.1.0-2", is_deaf))
    wait_for(lambda: (status := machine.status()) and all(map(answers, status["buses"].values())), 60, "answers")
    said = upgrade(machine, deaf, code=1)
    assert "no device answers on bus line0" in said, said
    assert machine.version() == "0.1.0-1"
    device.close()


def refuses(tree):
    script = tree / "DEBIAN/preinst"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)


def test_neither_another_program_that_uses_dpkg_nor_a_line_that_breaks_ends_it(machine, package, tmp_path):
    machine.configure("gateway: { name: edge }\nweb: off\n")
    install(machine, package)
    new = machine.put(remade(package, tmp_path / "new.deb", "0.1.0-2"))
    with open(f"{machine.root}/var/lib/dpkg/lock-frontend", "r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        machine.run("systemd-run", "--unit=take", "fieldhold-upgrade", new)
        pending = pathlib.Path(f"{machine.root}/var/lib/fieldhold-upgrade/pending")
        wait_for(pending.exists, 60, "the upgrade's beginning")
        # As when the connection is gone of who began it.
        machine.run("systemctl", "kill", "--signal=HUP", "take")
        time.sleep(5)  # More than the time between two attempts.
        assert pending.exists() and machine.version() == "0.1.0-1"
    wait_for(lambda: not pending.exists(), 120, "the upgrade's end")
    said = machine.run("journalctl", "--no-pager", "-o", "cat", "-u", "take")
    assert "0.1.0-2 runs and is well" in said, said
    assert machine.version() == "0.1.0-2"


def answers(bus):
    return any(device["state"]["state"] == "ok" for device in bus["devices"])


def test_a_power_cut_in_the_middle_ends_in_the_version_before(machine, package, tmp_path):
    machine.configure("gateway: { name: edge }\nweb: off\n")
    install(machine, package)
    silent = machine.put(remade(package, tmp_path / "hangs.deb", "0.1.0-2", hangs))
    machine.run("systemd-run", "--unit=take", "fieldhold-upgrade", silent)
    wait_for(lambda: machine.version() == "0.1.0-2", 60, "the new version")
    machine.stop()
    machine.start()
    wait_for(lambda: machine.version() == "0.1.0-1", 300, "the version before")
    wait_for(machine.status, 60, "the gateway's status")
    wait_for(lambda: machine.try_("test", "-e", "/var/lib/fieldhold-upgrade/pending").returncode, 120, "the end")


def test_what_is_no_package_or_is_not_taken_changes_nothing(machine, package, tmp_path):
    machine.configure("gateway: { name: edge }\nweb: off\n")
    install(machine, package)
    other = tmp_path / "other.deb"
    other.write_bytes(b"no package")
    upgrade(machine, machine.put(other), code=2)
    damaged = tmp_path / "damaged.deb"
    damaged.write_bytes(package.read_bytes()[:-100_000])
    said = upgrade(machine, machine.put(damaged), code=2)
    assert "damaged" in said, said
    upgrade(machine, "--back", code=1)
    upgrade(machine, code=2)
    # As on a full disk, dpkg puts everything back: the version before is well, but that is not what was asked for.
    said = upgrade(machine, machine.put(remade(package, tmp_path / "refuses.deb", "0.1.0-2", refuses)), code=1)
    assert "did not take 0.1.0-2; 0.1.0-1 is installed" in said and "runs and is well" not in said, said
    assert machine.try_("test", "-e", "/var/lib/fieldhold-upgrade/pending").returncode, "it is at its end"
    assert machine.version() == "0.1.0-1" and machine.active()
