"""The boot partition and sticks have a FAT, without links and modes: on a real one, in a kernel that has it (User Mode Linux)."""

import subprocess

from conftest import BINARY, ROOT

# From tests/run: a kernel as a program, and what makes a FAT in a file.
UML = ROOT / "target/tests-uml"
WORDS = "tea for two and more"
STICK = 'gateway: { name: from-vfat }\nweb: off\nstore: { path: state }\nuplinks: { c: { url: "mqtt://127.0.0.1:1", username: u, password: { file: c.password } } }\n'
INSERT = """
import ctypes, os, sys
for module in sys.argv[1:]:
    assert ctypes.CDLL(None).syscall(313, os.open(module, os.O_RDONLY), b"", 0) == 0, module
"""


def machine(directory, commands):
    """What a machine says whose only disk is the stick; it sees this one's files, and writes to its own memory."""
    modules = next((UML / "usr/lib/uml/modules").iterdir()) / "kernel/fs"
    needed = [modules / name for name in ("nls/nls_cp437.ko", "nls/nls_iso8859-1.ko", "fat/fat.ko", "fat/vfat.ko")]
    (directory / "insert.py").write_text(INSERT)
    init = directory / "init"
    init.write_text(f"""#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc && mount -t tmpfs tmpfs /run && ip link set lo up
python3 {directory}/insert.py {" ".join(map(str, needed))}
mkdir -p /run/media/stick /run/first /run/second
mount -t vfat /dev/ubda /run/media/stick && grep ' vfat ' /proc/mounts
started() {{
    {BINARY} run --import-from /run/media /run/$1/fieldhold.yaml 2>&1 &
    until {BINARY} status /run/$1/fieldhold.yaml >/dev/null 2>&1; do sleep 0.2; done
    kill -TERM $! && wait $!
}}
{commands}
umount /run/media/stick && echo over
halt -f
""")
    init.chmod(0o755)
    kernel = [UML / "usr/bin/linux.uml", "mem=512M", "rootfstype=hostfs", "rootflags=/", "rw", f"init={init}",
              f"ubd0={directory / 'stick'}", "con=null", "con0=fd:0,fd:1"]
    ran = subprocess.run(kernel, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=180, cwd=directory)
    assert "over\n" in ran.stdout.replace("\r", ""), ran.stdout[-4000:]
    return ran.stdout.replace("\r", "")


def test_a_stick_gives_a_configuration_takes_a_backup_and_gives_that_back(tmp_path):
    stick = tmp_path / "stick"
    with open(stick, "wb") as file:
        file.truncate(64 << 20)
    subprocess.run([UML / "sbin/mkfs.vfat", "-F", "32", stick], check=True, capture_output=True)
    for name, text in [("fieldhold.yaml", STICK), ("c.password", "secret\n"), ("fieldhold.passphrase", WORDS + "\n")]:
        (tmp_path / name).write_text(text)
        subprocess.run([UML / "usr/bin/mcopy", "-i", stick, tmp_path / name, "::"], check=True)
    said = machine(tmp_path, f"""
started first
ls -l /run/first
cat /run/first/fieldhold.yaml /run/first/c.password
{BINARY} backup /run/media/stick/fieldhold.backup /run/first/fieldhold.yaml --passphrase-file {tmp_path}/fieldhold.passphrase
{BINARY} backup /run/media/stick/fieldhold.backup /run/first/fieldhold.yaml --passphrase-file {tmp_path}/fieldhold.passphrase
ls /run/media/stick
rm /run/media/stick/fieldhold.yaml
started second
cat /run/second/c.password
""")
    assert "/run/media/stick vfat" in said, said
    assert said.count("a configuration was taken") == 2, said
    assert STICK in said and said.count("\nsecret\n") == 2, said
    # A FAT lets everybody read; what was taken is for its owner alone.
    assert "-rw------- 1 root root   7" in said, said
    assert "fieldhold.backup is there already" in said, said
    assert ".part" not in said and ".new" not in said, "nothing is left behind"
