"""What the package does with the system around it: its boot partition, names of adapters, devices that come later, secrets."""

import json
import pathlib
import subprocess

import pytest
from conftest import CONFIG, Machine, e2e, network_of, wait_for

UNIT = "fieldhold.service"
# An adapter of FTDI's in the second socket, as a kernel shows it: path, attributes, links.
USB = "devices/pci0000:00/0000:00:14.0/usb1/1-2"
ADAPTER = {
    "devices/pci0000:00/0000:00:14.0": ({"uevent": ""}, {"subsystem": "bus/pci"}),
    "devices/pci0000:00/0000:00:14.0/usb1": ({"uevent": "DEVTYPE=usb_device\n"}, {"subsystem": "bus/usb"}),
    USB: (
        {"uevent": "DEVTYPE=usb_device\n", "idVendor": "0403", "idProduct": "6001", "bcdDevice": "0600",
         "manufacturer": "FTDI", "product": "FT232R USB UART", "serial": "A6008isP"},
        {"subsystem": "bus/usb"},
    ),
    f"{USB}/1-2:1.0": (
        {"uevent": "DEVTYPE=usb_interface\n", "bInterfaceNumber": "00", "bInterfaceClass": "ff"}, {"subsystem": "bus/usb"},
    ),
    f"{USB}/1-2:1.0/ttyUSB0": (
        {"uevent": "DRIVER=ftdi_sio\n", "port_number": "0", "latency_timer": "9"},
        {"subsystem": "bus/usb-serial", "driver": "bus/usb-serial/drivers/ftdi_sio"},
    ),
    f"{USB}/1-2:1.0/ttyUSB0/tty/ttyUSB0": (
        {"uevent": "MAJOR=188\nMINOR=0\nDEVNAME=ttyUSB0\n", "dev": "188:0"}, {"subsystem": "class/tty"},
    ),
}


def sysfs(place):
    """A kernel's view of that adapter."""
    for path, (attributes, links) in ADAPTER.items():
        device = place / path
        device.mkdir(parents=True)
        for name, text in attributes.items():
            (device / name).write_text(text if text.endswith("\n") else f"{text}\n")
        for name, target in links.items():
            (place / target).mkdir(parents=True, exist_ok=True)
            (device / name).symlink_to(pathlib.Path("/sys") / target)


@pytest.fixture(scope="module")
def installed(debian, package, tmp_path_factory):
    """A machine with the package, and a configuration on its boot partition."""
    machine = Machine(debian, tmp_path_factory.mktemp("installed") / "machine")
    try:
        machine.start().configure("gateway: { name: from-boot }\nweb: off\n", "/boot/fieldhold.yaml")
        machine.run("dpkg", "-i", machine.put(package))
        yield machine
    finally:
        machine.kill()


def test_a_configuration_on_the_boot_partition_is_taken(installed):
    """Where Raspberry Pi OS bullseye has it; since bookworm it is one directory below."""
    status = wait_for(installed.status, 60, "the gateway's status")
    assert status["gateway"]["name"] == "from-boot", installed.journal()


def test_an_adapter_has_names_that_stay_and_answers_at_once(installed):
    machine = installed
    # systemd's own rules make the same names; here they are away, as in some versions.
    machine.run("ln", "-s", "/dev/null", "/etc/udev/rules.d/60-serial.rules")
    place = pathlib.Path(f"{machine.root}/root/sys")
    sysfs(place)

    def tried(device):
        words = f"mount --bind /root/sys /sys && SYSTEMD_DEVICE_VERIFY_SYSFS=0 udevadm test /sys/{device} 2>&1"
        return machine.run("unshare", "--mount", "sh", "-c", words)

    said = tried(f"{USB}/1-2:1.0/ttyUSB0/tty/ttyUSB0")
    names = next((line for line in said.splitlines() if line.startswith("DEVLINKS=")), said)
    assert "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A6008isP-if00-port0" in names, said
    assert "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0" in names, said
    assert "60-fieldhold.rules" in said and "Invalid" not in said, said
    latency = place / USB / "1-2:1.0/ttyUSB0/latency_timer"
    assert latency.read_text().strip() == "9"
    said = tried(f"{USB}/1-2:1.0/ttyUSB0")
    assert latency.read_text().strip() == "1", said


def test_an_adapter_that_is_plugged_in_later_may_be_used(installed):
    """This kernel has no driver for one, as any has none before the first is plugged in: the service must reach the
    device, of which the kernel then says that it is not there, and no other."""
    assert "ttyUSB" not in pathlib.Path("/proc/devices").read_text(), "a driver is there: this can't be tried"
    machine = installed
    unit = pathlib.Path(f"{machine.root}/usr/lib/systemd/system/{UNIT}").read_text().splitlines()
    rules = [word for line in unit if line.startswith("Device") for word in ("-p", line)]

    def opened(major):
        device, said = f"/dev/tried{major}", pathlib.Path(f"{machine.root}/root/said{major}")
        machine.run("mknod", "-m", "666", device, "c", major, 229)
        machine.run("systemd-run", *rules, "-p", f"StandardError=file:/root/{said.name}", "cat", device)
        return wait_for(lambda: said.exists() and said.read_text(), 30, "the end of cat")

    assert "not permitted" in opened(10), "what is not allowed can't be opened"
    for major in [188, 166]:
        assert "No such device" in opened(major), "allowed, and not there"


def test_a_password_comes_from_systemds_credentials(machine, package, tmp_path):
    """As docs/appliance.md has it: encrypted on the disk; who looks after the service sees it as well."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", passwords, "gw", "cloud secret"], check=True)
    passwords.chmod(0o644)
    cloud = e2e.Mosquitto(tmp_path / "cloud")
    conf = tmp_path / "cloud/mosquitto.conf"
    conf.write_text(conf.read_text().replace("allow_anonymous true", f"allow_anonymous false\nuser root\npassword_file {passwords}"))
    with network_of(machine):
        cloud.start()
    try:
        machine.configure(f"""
gateway: {{ name: edge }}
web: off
uplinks: {{ cloud: {{ url: "mqtt://127.0.0.1:{cloud.port}", username: gw, password: {{ file: uplink.password }} }} }}
""")
        machine.run("dpkg", "-i", machine.put(package))
        state = lambda: (machine.status() or {}).get("uplinks", {}).get("cloud", {}).get("state")
        wait_for(lambda: state() not in (None, "online"), 60, "an uplink without its password")
        machine.run("mkdir", "-p", "/etc/credstore.encrypted", f"/etc/systemd/system/{UNIT}.d")
        file = "/etc/credstore.encrypted/fieldhold.uplink.password"
        machine.run("sh", "-c", f"printf 'cloud secret' | systemd-creds encrypt --name=uplink.password - {file}")
        assert "cloud secret" not in pathlib.Path(f"{machine.root}{file}").read_text()
        drop_in = pathlib.Path(f"{machine.root}/etc/systemd/system/{UNIT}.d/override.conf")
        drop_in.write_text(f"[Service]\nLoadCredentialEncrypted=uplink.password:{file}\n")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "fieldhold")
        wait_for(lambda: state() == "online", 60, "the uplink with its password")

        # Who looks after the gateway from outside of the service sees what it sees.
        looked = machine.try_("runuser", "-u", "fieldhold", "--", "fieldhold", "doctor", CONFIG, "--json")
        about = [finding for finding in json.loads(looked.stdout) if finding["about"] in ("secrets", "permissions")]
        assert about and all(finding["level"] == "good" for finding in about), about
        made = machine.run("sh", "-c", f"echo tea for two and more | fieldhold backup /root/g.backup {CONFIG} 2>&1")
        assert "not in the backup" not in made, made
    finally:
        cloud.kill()
