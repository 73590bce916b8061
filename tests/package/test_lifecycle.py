"""The package on a machine: installed, upgraded, downgraded, removed, purged, each as an administrator would."""

import pathlib

from conftest import CONFIG, remade, wait_for

DATA = "/var/lib/fieldhold"
# What packages leave behind by Debian's own rules: logs, caches, accounts, and the database of packages.
LEFT = ("/var/lib/dpkg/", "/var/log/", "/var/cache/", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow",
        "/var/lib/systemd/", "/etc/subuid", "/etc/subgid", "/root/", "/etc/.pwd.lock", "/var/tmp/", "/tmp/")


def files(machine):
    found = machine.run("find", "/", "-xdev", "-mindepth", "1", "!", "-path", "/proc/*", "!", "-path", "/sys/*", "!", "-path", "/run/*")
    return {path for path in found.splitlines() if not path.startswith(LEFT)}


def test_a_life_of_the_package(machine, package, tmp_path):
    before = files(machine)
    first = machine.put(package, "/root/first.deb")
    second = machine.put(remade(package, tmp_path / "second.deb", "0.1.0-2"))

    machine.run("dpkg", "-i", first)
    wait_for(machine.active, 60, "the service")
    wait_for(machine.status, 30, "the gateway's status")
    account = machine.run("id", "fieldhold")
    assert "(dialout)" in account and "gid=" in account, account
    assert machine.run("getent", "passwd", "fieldhold").strip().endswith(":/usr/sbin/nologin")
    assert machine.run("stat", "-c", "%U:%G %a", DATA).strip() == "fieldhold:fieldhold 750"
    assert machine.run("systemctl", "show", "fieldhold", "-p", "User", "--value").strip() == "fieldhold"
    assert machine.run("systemctl", "is-enabled", "fieldhold", "fieldhold-upgrade").split() == ["enabled", "enabled"]
    assert not machine.try_("systemd-analyze", "verify", "--man=no", "/lib/systemd/system/fieldhold.service", "/lib/systemd/system/fieldhold-upgrade.service").stderr
    assert (pathlib.Path(f"{machine.root}{CONFIG}")).exists(), "the first start made a configuration"

    # An administrator's change of a configuration file outlives every version.
    settings = pathlib.Path(f"{machine.root}/etc/default/fieldhold")
    settings.write_text(settings.read_text() + "FIELDHOLD_LOG=debug\n")
    kept = pathlib.Path(f"{machine.root}{DATA}/kept")
    kept.write_text("mine")
    for file, version in [(second, "0.1.0-2"), (first, "0.1.0-1")]:
        process = machine.run("systemctl", "show", "fieldhold", "-p", "MainPID", "--value")
        machine.run("dpkg", "-i", file)
        assert machine.version() == version
        wait_for(machine.active, 60, "the service")
        assert machine.run("systemctl", "show", "fieldhold", "-p", "MainPID", "--value") != process, "the new program runs"
        assert "FIELDHOLD_LOG=debug" in settings.read_text()
        assert kept.read_text() == "mine"

    machine.run("dpkg", "--remove", "fieldhold")
    assert not machine.active()
    assert machine.try_("test", "-e", "/usr/bin/fieldhold").returncode == 1
    assert kept.read_text() == "mine" and "debug" in settings.read_text(), "data and settings stay"
    machine.run("dpkg", "-i", first)
    wait_for(machine.active, 60, "the service")
    assert kept.read_text() == "mine"

    machine.run("dpkg", "--purge", "fieldhold")
    assert files(machine) - before == set(), "nothing stays"


def test_purge_empties_a_file_system_of_its_own(machine, package):
    """As docs/appliance.md has it for a root that is read only."""
    machine.run("mkdir", "-p", DATA)
    machine.run("mount", "-t", "tmpfs", "tmpfs", DATA)
    machine.run("dpkg", "-i", machine.put(package))
    wait_for(machine.active, 60, "the service")
    assert machine.run("find", DATA, "-name", "fieldhold.yaml")
    machine.run("dpkg", "--purge", "fieldhold")
    assert machine.run("find", DATA).split() == [DATA]


def test_drop_ins_do_what_they_say(machine, package):
    machine.configure("gateway: { name: edge }\nweb: { listen: 127.0.0.1:443 }\nbroker: { listeners: [ { tcp: 127.0.0.1:883 } ] }\n")
    machine.run("dpkg", "-i", machine.put(package))
    wait_for(machine.active, 60, "the service")
    refused = lambda: (machine.status() or {}).get("units", {}).get("broker", {}).get("state") == "waiting"
    wait_for(refused, 30, "the refusal of a low port")

    drop_ins = "/etc/systemd/system/fieldhold.service.d"
    machine.run("mkdir", "-p", drop_ins)
    for name in ["tcp-only", "low-ports"]:
        machine.run("ln", "-s", f"/usr/share/fieldhold/drop-ins/{name}.conf", drop_ins)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", "fieldhold")
    ports = lambda: (machine.status() or {}).get("units", {}).get("broker", {}).get("state") == "running"
    wait_for(ports, 30, "the broker on port 883")
    pid = machine.run("systemctl", "show", "fieldhold", "-p", "MainPID", "--value").strip()
    rights = machine.run("grep", "CapEff", f"/proc/{pid}/status").split()[1]
    assert int(rights, 16) == 1 << 10, "CAP_NET_BIND_SERVICE alone"
    devices = machine.run("ls", f"/proc/{pid}/root/dev").split()
    assert "ttyS0" not in devices and "null" in devices, devices
