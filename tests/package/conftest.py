"""Packages, and machines to put them on: a Debian of this machine's release with systemd in it, booted in a container."""

import contextlib
import ctypes
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

# Servers, brokers and waiting, as the end-to-end tests have them; their file has this one's name.
spec = importlib.util.spec_from_file_location("e2e", ROOT / "tests/e2e/conftest.py")
e2e = importlib.util.module_from_spec(spec)
spec.loader.exec_module(e2e)
wait_for = e2e.wait_for

PROGRAM = pathlib.Path(os.environ.get("FIELDHOLD_BIN", ROOT / "target/debug/fieldhold"))
AMD64, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
CONFIG = "/var/lib/fieldhold/fieldhold.yaml"
CLONE_NEWNET = 0x40000000


def run(*words, **options):
    """What a command says; it must succeed."""
    result = subprocess.run([str(w) for w in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    assert result.returncode == 0, f"{words}: {result.returncode}\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
    return result.stdout


def remade(package, path, version, change=lambda tree: None):
    """The package as another version, with its files changed."""
    tree = path.with_suffix(".tree")
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN/control"
    lines = control.read_text().splitlines(keepends=True)
    control.write_text("".join(f"Version: {version}\n" if line.startswith("Version:") else line for line in lines))
    change(tree)
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, path)
    shutil.rmtree(tree)
    return path


def pytest_collection_modifyitems(items):
    """The program of ARM is built while the others wait for their machines: who runs it comes last."""
    items.sort(key=lambda item: "arm" in item.fixturenames)


@pytest.fixture(scope="session", autouse=True)
def arm_build(request, tmp_path_factory):
    """What builds the program of ARM, and what it says; at the lowest priority, from the first test on."""
    if not any("arm" in item.fixturenames for item in request.session.items):
        yield None
        return
    said = tmp_path_factory.mktemp("arm") / "said"
    # The optimiser takes a quarter of an hour, which every run would pay: it is the same compiler, linker and
    # libraries without it.
    profile = [] if os.environ.get("FIELDHOLD_DIST") else ["dev"]
    words = ["nice", "-n", "19", ROOT / "cross/build", ARM, *profile]
    with open(said, "wb") as out:
        # In our own session: the kernel weighs sessions against each other, whatever their priorities.
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, process_group=0)
    try:
        yield child, said
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


@pytest.fixture(scope="session")
def arm(arm_build):
    """The program of ARM."""
    child, said = arm_build
    code = child.wait(3600)
    assert code == 0, f"cross/build: {code}\n{said.read_text()[-4000:]}"
    return ROOT / said.read_text().splitlines()[-1]


@pytest.fixture(scope="session")
def package():
    """Of the program that the other tests try, for this machine."""
    return ROOT / run(ROOT / "cross/package", AMD64, PROGRAM).splitlines()[-1]


def mirror():
    """Where this machine has its own release from, and the name of that."""
    release = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release["VERSION_CODENAME"].strip('"')
    for line in run("apt-get", "indextargets", "--format", "$(CODENAME) $(SITE)", "Created-By: Packages").splitlines():
        name, site = line.split()
        if name == codename:
            return codename, site
    raise AssertionError(f"no source of apt is for {codename}")


@pytest.fixture(scope="session")
def debian(tmp_path_factory):
    """A fresh root of Debian's smallest variant, with what makes a machine of it."""
    if os.geteuid() != 0:
        pytest.skip("SKIPPED: only root makes a root of Debian and boots it")
    codename, site = mirror()
    root = tmp_path_factory.mktemp("debian") / "root"
    run("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv,udev", codename, root, site)
    return root


class Machine:
    """A booted Debian with a network of its own; what is written to it goes over the fresh root."""

    def __init__(self, debian, directory):
        self.root, self.child = directory / "root", None
        for name in ["root", "upper", "work"]:
            (directory / name).mkdir(parents=True)
        layers = f"lowerdir={debian},upperdir={directory / 'upper'},workdir={directory / 'work'}"
        run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        self.log = directory / "console"

    def start(self):
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--directory", self.root, "--boot", "--register=no", "--keep-unit",
                 "--private-network", "--console=pipe", "--hostname=gateway"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        self.init = wait_for(self._init, 60, "the machine's first process")
        up = lambda: self.try_("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")
        wait_for(up, 120, "the machine's start")
        return self

    def _init(self):
        """The process that is number 1 in there, as this machine counts."""
        assert self.child.poll() is None, self.log.read_text(errors="replace")
        for children in pathlib.Path(f"/proc/{self.child.pid}/task").glob("*/children"):
            for pid in children.read_text().split():
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                if any(line.startswith("NSpid:") and line.split()[-1] == "1" for line in status.splitlines()):
                    return pid
        return None

    def inside(self, *words):
        """The words of a command that is carried out in there."""
        enter = ["nsenter", "--target", self.init, "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd=/"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return [*enter, "env", "-i", path, "HOME=/root", "LC_ALL=C.UTF-8", *[str(w) for w in words]]

    def try_(self, *words, **options):
        return subprocess.run(self.inside(*words), capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)

    def run(self, *words, **options):
        result = self.try_(*words, **options)
        said = f"{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
        assert result.returncode == 0, f"{words}: {result.returncode}\n{said}\n{self.journal()}"
        return result.stdout

    def put(self, file, name=None):
        """A file of this machine, brought there; where it is then."""
        name = name or f"/root/{file.name}"
        shutil.copy(file, f"{self.root}{name}")
        return name

    def journal(self):
        return self.try_("journalctl", "--no-pager", "-n", "60", "-u", "fieldhold").stdout

    def active(self):
        return self.try_("systemctl", "is-active", "fieldhold").stdout.strip() == "active"

    def status(self):
        """What the gateway says of itself, or None while it says nothing."""
        asked = self.try_("runuser", "-u", "fieldhold", "--", "fieldhold", "status", CONFIG, "--json")
        return json.loads(asked.stdout) if asked.returncode == 0 else None

    def configure(self, text, path=CONFIG):
        """Before the package is installed or after; the service is not told."""
        self.run("mkdir", "-p", "/var/lib/fieldhold")
        pathlib.Path(f"{self.root}{path}").write_text(text)

    def version(self):
        return self.run("dpkg-query", "-W", "-f=${Version}", "fieldhold")

    def stop(self):
        if self.child and self.child.poll() is None:
            # As a machine is switched off: nothing in it is asked.
            os.kill(int(self.init), signal.SIGKILL)
            self.child.wait(30)
        self.child = None

    def kill(self):
        self.stop()
        end = time.monotonic() + 15
        while subprocess.run(["umount", self.root], capture_output=True).returncode and time.monotonic() < end:
            time.sleep(0.2)


@pytest.fixture
def machine(debian, tmp_path):
    machine = Machine(debian, tmp_path / "machine")
    try:
        yield machine.start()
    finally:
        machine.kill()


@contextlib.contextmanager
def network_of(machine):
    """Sockets, threads and processes that are made in here belong to the machine's network."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as ours, open(f"/proc/{machine.init}/ns/net") as theirs:
        assert libc.setns(theirs.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(ours.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
