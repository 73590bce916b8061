"""A gateway that has no configuration: it makes one, takes one from a stick, or is set up at a terminal."""

import json
import os
import pty
import re
import select
import ssl
import stat
import subprocess
import time
import urllib.request

from conftest import BINARY, Process, free_port, listening, wait_for

ALONE = "gateway: { name: stick }\nstore: { path: state }\nweb: off\n"


class Bare(Process):
    """`fieldhold run` on a file that need not be there."""

    def __init__(self, directory, *arguments, **options):
        directory.mkdir(parents=True, exist_ok=True)
        self.config, self.state = directory / "fieldhold.yaml", directory / "state"
        super().__init__([BINARY, "run", self.config, *arguments], directory / "log", **options)

    def start(self):
        self.starts = getattr(self, "starts", 0) + 1
        return super().start()

    def runs(self):
        wait_for(lambda: self.output().count(" running ") == self.starts, what="the start")
        return self


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def call(port, path, body=None, cookie=None):
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    url = f"https://127.0.0.1:{port}{path}"
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", "application/json")
    if cookie:
        request.add_header("Cookie", cookie)
    with urllib.request.urlopen(request, timeout=10, context=unchecked) as answer:
        text = answer.read()
        return answer.headers.get("Set-Cookie"), json.loads(text) if text.startswith(b"{") else text


def test_without_a_configuration_the_page_and_its_code_are_there(tmp_path, started):
    wait_for(lambda: not listening(8443), 120, "port 8443, where the page is by default, to be free")
    g = started(Bare(tmp_path / "g")).runs()
    code = wait_for(lambda: re.search(r"setup_code=\W*(\w{4}-\w{4})", g.output()), what="the setup code")[1]
    assert "there was no configuration: a first one was written" in g.output()
    assert mode(g.config) == 0o640
    shown = subprocess.run([BINARY, "setup-code", g.config], capture_output=True, text=True, timeout=30)
    assert shown.stdout.strip() == code
    wait_for(lambda: listening(8443), what="the page")
    cookie, _ = call(8443, "/api/v1/setup", {"code": code, "user": "anna", "password": "tea for two and more"})
    assert cookie
    _, body = call(8443, "/api/v1/config", cookie=cookie.split(";")[0])
    assert b"The first configuration of this gateway" in (body if isinstance(body, bytes) else json.dumps(body).encode())
    assert g.stop() == 0
    before = g.config.read_text()
    started(g).runs()
    assert g.config.read_text() == before, "it is written once"


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    g = Bare(tmp_path / "g")
    for place, why in [("/proc/fieldhold.yaml", "can't be written there"), ("/nowhere/x.yaml", "No such file")]:
        ran = subprocess.run([BINARY, "run", place], capture_output=True, text=True, timeout=30)
        assert ran.returncode == 2, ran
        assert f"there is no configuration {place}" in ran.stderr and why in ran.stderr, ran.stderr
    assert not g.config.exists()


def test_a_stick_is_taken_once_and_said(tmp_path, started):
    stick = tmp_path / "media/anna/STICK"
    stick.mkdir(parents=True)
    (stick / "fieldhold.yaml").write_text(ALONE)
    g = started(Bare(tmp_path / "g", "--import-from", tmp_path / "boot", "--import-from", tmp_path / "media")).runs()
    assert g.config.read_text() == ALONE and mode(g.config) == 0o640
    assert "a configuration was taken" in g.output() and str(stick) in g.output()
    assert g.stop() == 0
    (stick / "fieldhold.yaml").write_text(ALONE.replace("stick", "other"))
    started(g).runs()
    assert g.config.read_text() == ALONE
    assert g.stop() == 0
    g.config.unlink()
    started(g).runs()
    assert "was taken once already" in g.output()
    assert "other" not in g.config.read_text()


def test_a_stick_with_mistakes_is_said_and_left(tmp_path, started):
    stick = tmp_path / "stick"
    stick.mkdir()
    (stick / "fieldhold.yaml").write_text("gateway: { name: a b }\n")
    g = started(Bare(tmp_path / "g", "--import-from", stick)).runs()
    assert "has mistakes, it is not taken" in g.output()
    assert "a name can't hold ' '" in g.output()
    assert "first configuration" in g.config.read_text()


def test_setup_by_options_makes_file_account_and_uplink(tmp_path, started):
    config, port = tmp_path / "fieldhold.yaml", free_port()
    (tmp_path / "typed").write_text("cloud secret\n")
    said = subprocess.run(
        [BINARY, "setup", config, "--name", "press", "--site", "works", "--page", f"127.0.0.1:{port}", "--admin", "anna",
         "--uplink", "mqtt://127.0.0.1:1", "--uplink-username", "gw", "--uplink-password-file", tmp_path / "typed", "--yes"],
        input="tea for two and more\n", capture_output=True, text=True, timeout=60,
    )
    assert said.returncode == 0, said.stderr
    assert mode(config) == 0o640 and mode(tmp_path / "cloud.password") == 0o600
    assert (tmp_path / "cloud.password").read_text() == "cloud secret\n"
    checked = subprocess.run([BINARY, "check", config], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0 and "gateway press" in checked.stdout, checked
    started(Bare(tmp_path)).runs()
    wait_for(lambda: listening(port), what="the page")
    cookie, _ = call(port, "/api/v1/session", {"user": "anna", "password": "tea for two and more"})
    assert cookie
    again = subprocess.run([BINARY, "setup", config, "--yes"], capture_output=True, text=True, timeout=30)
    assert again.returncode == 2 and "is there already" in again.stderr


def test_setup_refuses_what_would_not_run(tmp_path):
    config = tmp_path / "fieldhold.yaml"
    for arguments, why in [
        (["--name", "a b"], "a name can't hold"),
        (["--page", "nonsense"], "nonsense"),
        (["--uplink", "http://x"], "http"),
    ]:
        ran = subprocess.run([BINARY, "setup", config, *arguments, "--yes"], capture_output=True, text=True, timeout=30)
        assert ran.returncode == 2 and why in ran.stderr, ran
        assert list(tmp_path.iterdir()) == [], "nothing is written"


def test_setup_asks_at_a_terminal(tmp_path):
    config = tmp_path / "fieldhold.yaml"
    child, terminal = pty.fork()
    if child == 0:
        os.execv(BINARY, [str(BINARY), "setup", str(config)])
    screen = b""

    def until(words):
        nonlocal screen
        end = time.monotonic() + 20
        while words not in screen and time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    screen += os.read(terminal, 4096)
                except OSError:
                    break
        assert words in screen, screen.decode()

    for asked, answer in [
        (b"Name of this gateway [", "press"),
        (b"Site, the first level of topics [none]", "works"),
        (b"Web page on [0.0.0.0:8443]", ""),
        (b"Broker for readings (URL) [later]", "mqtts://broker.example:8883"),
        (b"Does it ask for a password? [no]", "yes"),
        (b"Password: ", "cloud secret"),
        (b"Once more: ", "cloud secret"),
        (b"User there [none]", "gw"),
        (b"First account of the page (or later) [admin]", "anna"),
        (b"For anna", None),
        (b"Password: ", "tea for two and more"),
        (b"Once more: ", "tea for two and more"),
        (b"anna can sign in, as", None),
    ]:
        until(asked)
        if answer is not None:
            screen = b""
            os.write(terminal, answer.encode() + b"\n")
    until(b"next: ")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert b"secret" not in screen and b"tea for" not in screen, "passwords are not shown"
    text = config.read_text()
    assert 'name: "press"' in text and 'username: "gw"' in text and "secret" not in text
    assert (tmp_path / "cloud.password").read_text().strip() == "cloud secret"
    users = subprocess.run([BINARY, "user", "list", config], capture_output=True, text=True, timeout=30)
    assert "anna" in users.stdout and "admin" in users.stdout


def test_a_backup_on_a_stick_is_taken_with_its_passphrase(tmp_path, started):
    old, stick, words = tmp_path / "old", tmp_path / "stick", "tea for two and more"
    old.mkdir(), stick.mkdir()
    (old / "fieldhold.yaml").write_text(ALONE.replace("web: off", "web: off # as it was"))
    backup = [BINARY, "backup", stick / "fieldhold.backup", old / "fieldhold.yaml"]
    made = subprocess.run(backup, input=words + "\n", capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made
    g = started(Bare(tmp_path / "g", "--import-from", stick)).runs()
    assert "its passphrase has to be beside it" in g.output() and "first configuration" in g.config.read_text()
    assert g.stop() == 0
    (stick / "fieldhold.passphrase").write_text(words + "\n")
    started(g).runs()
    assert "# as it was" in g.config.read_text() and "a configuration was taken" in g.output()
