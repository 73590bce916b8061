"""The support bundle of a gateway that runs and of one that does not: everything but secrets, planted everywhere."""

import io
import json
import pathlib
import subprocess
import tarfile

from conftest import BINARY, Gateway, free_port, wait_for

PLANTED = ["planted-in-a-comment", "planted-in-the-past", "planted-in-a-mistake", "planted-in-a-file"]
TEXT = """# password: planted-in-a-comment
gateway: {{ name: g }}
store: {{ path: state }}
uplinks: {{ c: {{ url: "mqtt://127.0.0.1:{port}", username: u, password: {{ file: c.password }} }} }}
"""


def bundle(gateway, file):
    ran = subprocess.run([BINARY, "support", file, gateway.config], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran
    assert file.stat().st_mode & 0o777 == 0o600
    with tarfile.open(fileobj=io.BytesIO(file.read_bytes()), mode="r:gz") as tar:
        return ran.stdout, {member.name: tar.extractfile(member).read().decode() for member in tar}


def test_a_bundle_has_everything_but_secrets(tmp_path, started):
    gateway = Gateway(tmp_path / "g", TEXT.format(port=free_port()) + "# token=planted-in-the-past\n")
    (tmp_path / "g/c.password").write_text("planted-in-a-file")
    started(gateway)
    gateway.write(TEXT.format(port=free_port()))
    gateway.signal(1)
    gateway.wait(lambda status: (status["configuration"]["running"] or {}).get("version") == 2, what="the change")
    gateway.write(TEXT.format(port=free_port()) + 'secret: "planted-in-a-mistake"\npassword: "planted-in-a-mistake"\n')
    gateway.signal(1)
    wait_for(lambda: "configuration not taken" in gateway.output(), what="the refusal in the log")
    said, files = bundle(gateway, tmp_path / "running.tar.gz")
    assert "the gateway that runs" in said
    wanted = {"status.json", "system.json", "traces.json", "history.json", "doctor.json", "configuration.yaml", "log.txt"}
    assert wanted | {"history/1.yaml", "history/2.yaml"} == set(files), set(files)
    assert "configuration not taken" in files["log.txt"]
    assert json.loads(files["status.json"])["gateway"]["name"] == "g"
    for name, text in files.items():
        for planted in PLANTED:
            assert planted not in text, (name, planted)
    limits = pathlib.Path(f"/proc/{gateway.child.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"], "no core dump, which would hold them all"
    assert gateway.stop() == 0
    said, files = bundle(gateway, tmp_path / "stopped.tar.gz")
    assert "no gateway runs" in said
    assert {"status.json", "system.json", "history.json", "doctor.json", "configuration.yaml"} <= set(files)
    for name, text in files.items():
        for planted in PLANTED:
            assert planted not in text, (name, planted)
    again = subprocess.run([BINARY, "support", tmp_path / "stopped.tar.gz", gateway.config], capture_output=True, text=True)
    assert again.returncode == 1 and "can't write" in again.stderr, "it is not overwritten"
