"""Backup of a running gateway, and restore of it elsewhere: nothing lost, nothing taken for another reading."""

import json
import pty
import os
import select
import shutil
import signal
import subprocess
import time

import paho.mqtt.client as mqtt
import pytest

from conftest import BACK_ONLINE, BINARY, Gateway, Mosquitto, Recorder, free_port, listening, readings, wait_for
from plant import CountingDevice
from test_outage import TOPIC, config, consumers

WORDS = "tea for two and more"


def fieldhold(*arguments, words=WORDS, **options):
    return subprocess.run(
        [BINARY, *map(str, arguments)], input=words and words + "\n", capture_output=True, text=True, timeout=120, **options
    )


def waiting(status):
    return sum(row["waiting"] for row in consumers(status))


def test_a_queue_goes_on_elsewhere_without_losing_or_mixing_up_anything(tmp_path, started):
    device, cloud = started(CountingDevice()), Mosquitto(tmp_path / "cloud")
    old = started(Gateway(tmp_path / "old", config(device, cloud.port, free_port())))
    old.wait(lambda status: waiting(status) > 50, what="a backlog")
    in_backup = device.served - 1  # the newest may still be on its way
    made = fieldhold("backup", tmp_path / "g.backup", old.config, "--queue")
    assert made.returncode == 0, made
    # The old gateway goes on, and gives out the positions that the restored one would give out again.
    at_backup = device.served
    old.wait(lambda status: device.served > at_backup + 50, what="more readings")
    assert old.stop() == 0
    # As it stands in keys, without zeros in front.
    old_epoch = json.loads(fieldhold("store", "status", old.config, "--json").stdout)["epoch"].lstrip("0")
    new = Gateway(tmp_path / "new", config(device, cloud.port, free_port()))
    new.config.unlink()
    restored = fieldhold("restore", tmp_path / "g.backup", new.config)
    assert restored.returncode == 0, restored
    assert "under a new epoch" in restored.stdout
    recorder_cloud = started(cloud)
    recorder = started(Recorder(recorder_cloud.port))
    started(new)
    status = new.wait(lambda status: waiting(status) < 5, BACK_ONLINE + 30, "the backlog drained")
    assert status["store"]["epoch"].lstrip("0") != old_epoch

    def all_there():
        seen = {value for _, value, quality, _ in readings(recorder.messages) if quality == "good"}
        return set(range(1, in_backup + 1)) <= seen

    wait_for(all_there, what="everything that was in the backup")
    keys = {}
    for topic, value, quality, key in readings(recorder.messages):
        assert topic == TOPIC and not key.startswith(old_epoch), key
        if quality == "good":
            assert keys.setdefault(key, value) == value, "one key, one reading"

    def is_told():
        notices = [json.loads(m.payload) for m in list(recorder.messages) if b'"notice"' in m.payload]
        return any(notice["notice"] == "new-epoch" for notice in notices)

    wait_for(is_told, what="the notice of a new epoch")


class Client:
    """A client of the LAN broker with a session that outlives its connections."""

    def __init__(self, port, name):
        self.resumed, self.messages = None, []
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, name, clean_session=False, protocol=mqtt.MQTTv311)
        self.client.on_connect = self._connected
        self.client.on_message = lambda c, u, m: self.messages.append((m.topic, m.payload.decode(), m.retain))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_for(lambda: self.resumed is not None, what=f"the connection of {name}")

    def _connected(self, client, userdata, flags, reason, properties):
        self.resumed = flags.session_present

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def test_sessions_and_retained_messages_go_along_with_the_queue(tmp_path, started):
    """From a broker that runs and from one that is killed, each restored elsewhere."""
    port = free_port()
    text = 'gateway: { name: g }\nstore: { path: state }\nbroker: { listeners: [ { tcp: "127.0.0.1:%d", anonymous: true } ] }\n' % port
    old = started(Gateway(tmp_path / "old", text))
    wait_for(lambda: listening(port), what="the LAN broker")
    reader = Client(port, "reader")
    reader.client.subscribe("jobs/#", 1)
    reader.client.subscribe("recipe", 1)
    wait_for(lambda: (old.status() or {})["broker"]["subscriptions"] == 2, what="the subscriptions")
    reader.close()
    writer = started(Client(port, "writer"))
    writer.client.publish("recipe", "7", 1, retain=True).wait_for_publish(10)
    writer.client.publish("jobs/1", "before", 1).wait_for_publish(10)

    plain = fieldhold("backup", tmp_path / "plain.backup", old.config)
    assert plain.returncode == 0 and "nothing that the LAN broker keeps is in it" in plain.stdout, plain
    running = fieldhold("backup", tmp_path / "running.backup", old.config, "--queue")
    assert running.returncode == 0 and "sessions 2, retained messages 1" in running.stdout, running
    assert not list(old.state.glob("*.part")) and not list(old.state.glob("*.new"))
    # It goes on, and what comes now is in the next one.
    writer.client.publish("jobs/2", "after", 1).wait_for_publish(10)
    old.kill()
    killed = fieldhold("backup", tmp_path / "killed.backup", old.config, "--queue")
    assert killed.returncode == 0 and "sessions 2, retained messages 1" in killed.stdout, killed

    for name, jobs in [("running", ["before"]), ("killed", ["before", "after"])]:
        new = Gateway(tmp_path / name, text)
        new.config.unlink()
        restored = fieldhold("restore", tmp_path / f"{name}.backup", new.config)
        assert restored.returncode == 0 and "sessions 2, retained messages 1" in restored.stdout, restored
        started(new)
        wait_for(lambda: listening(port), what="the LAN broker")
        again = started(Client(port, "reader"))
        assert again.resumed, "the session is there"
        wait_for(lambda: len(again.messages) >= len(jobs) + 1, what="what waited for it")
        assert [m for m in again.messages if m[0] != "recipe"] == [(f"jobs/{n + 1}", job, False) for n, job in enumerate(jobs)]
        fresh = started(Client(port, f"fresh-{name}"))
        fresh.client.subscribe("recipe", 1)
        wait_for(lambda: fresh.messages == [("recipe", "7", True)], what="the retained message")
        again.close(), fresh.close()
        assert new.stop() == 0


def test_a_restore_over_a_gateway_keeps_what_was_there(tmp_path, started):
    text = 'gateway: { name: g }\nstore: { path: state }\nuplinks: { c: { url: "mqtt://127.0.0.1:1", username: u, password: { file: c.password } } }\n'
    home = tmp_path / "g"
    g = started(Gateway(home, text))
    (home / "c.password").write_text("planted secret")
    fieldhold("user", "add", "anna", "--role", "admin", g.config, words="a long pass phrase 7")
    made = fieldhold("backup", tmp_path / "g.backup", g.config)
    assert made.returncode == 0 and "the queue is not in it" in made.stdout, made
    archive = (tmp_path / "g.backup").read_bytes()
    assert b"planted secret" not in archive and b"anna" not in archive and b"gateway" not in archive
    running = fieldhold("restore", tmp_path / "g.backup", g.config)
    assert running.returncode == 2 and "a gateway is running" in running.stderr, running
    assert g.stop() == 0
    (home / "c.password").write_text("another")
    g.config.write_text("gateway: 3\n")
    before = sorted(path.relative_to(home) for path in home.rglob("*"))
    dry = fieldhold("restore", tmp_path / "g.backup", g.config, "--dry-run")
    assert dry.returncode == 0 and "would write" in dry.stdout and "would keep aside" in dry.stdout, dry
    assert sorted(path.relative_to(home) for path in home.rglob("*")) == before
    done = fieldhold("restore", tmp_path / "g.backup", g.config)
    assert done.returncode == 0, done
    assert (home / "c.password").read_text() == "planted secret"
    assert "anna" in fieldhold("user", "list", g.config).stdout
    aside = next(home.glob("before-restore-*"))
    assert (aside / "c.password").read_text() == "another"
    assert (aside / "fieldhold.yaml").read_text() == "gateway: 3\n"
    assert "the first start" in fieldhold("config", "history", "--config", g.config).stdout
    started(g).wait(lambda status: status["gateway"]["name"] == "g")


@pytest.mark.parametrize("call, nth, ended", [("fsync", 2, False), ("rename", 2, True), ("rename", 6, True)])
def test_a_restore_that_was_killed_is_ended_or_undone_at_the_next_start(tmp_path, started, call, nth, ended):
    """As by a power cut: while it is unpacked, between the old configuration and the new one, and later."""
    text = 'gateway: {{ name: {} }}\nstore: {{ path: state }}\nbroker: {{ listeners: [ {{ tcp: "127.0.0.1:{}" }} ] }}\n'
    home, port = tmp_path / "g", free_port()
    g = started(Gateway(home, text.format("before", port)))
    fieldhold("user", "add", "anna", "--role", "admin", g.config, words="a long pass phrase 7")
    assert fieldhold("backup", tmp_path / "g.backup", g.config, "--queue").returncode == 0
    assert g.stop() == 0
    g.write(text.format("after", port))
    changed = g.config.read_text()
    killing = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={nth}"]
    words = [*killing, BINARY, "restore", tmp_path / "g.backup", g.config]
    killed = subprocess.run(words, input=f"{WORDS}\n", capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed
    status = started(g).wait(lambda status: status["gateway"])
    assert status["gateway"]["name"] == ("before" if ended else "after"), g.output()
    assert "a restore was interrupted" in g.output()
    assert not list(home.glob("restoring*"))
    replaced = [path.read_text() for path in home.glob("before-restore-*/fieldhold.yaml")]
    assert replaced == ([changed] if ended else [])
    assert ("anna" in fieldhold("user", "list", g.config).stdout) and not list(home.glob("*/restoring*"))


def test_what_is_no_backup_is_told_in_plain_words(tmp_path):
    (tmp_path / "fieldhold.yaml").write_text("gateway: { name: g }\nstore: { path: state }\nweb: off\n")
    config, archive = tmp_path / "fieldhold.yaml", tmp_path / "g.backup"
    assert fieldhold("backup", archive, config).returncode == 0
    again = fieldhold("backup", archive, config)
    assert again.returncode == 2 and "is there already" in again.stderr
    short = fieldhold("backup", tmp_path / "s.backup", config, words="short")
    assert short.returncode == 2 and "at least 12" in short.stderr and not (tmp_path / "s.backup").exists()
    data = archive.read_bytes()
    (tmp_path / "cut").write_bytes(data[:-9])
    (tmp_path / "flipped").write_bytes(data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
    (tmp_path / "zip").write_bytes(b"PK\x03\x04 something else entirely, of some length, as files are")
    new = tmp_path / "new"
    new.mkdir()
    for name, words, why in [
        ("g.backup", "tea for three and more", "the passphrase is wrong"),
        ("cut", WORDS, "damaged or incomplete"),
        ("flipped", WORDS, "damaged or incomplete"),
        ("zip", WORDS, "no backup of Fieldhold"),
    ]:
        ran = fieldhold("restore", tmp_path / name, new / "fieldhold.yaml", words=words)
        assert ran.returncode == 2 and why in ran.stderr, ran
        assert list(new.iterdir()) == []
    assert fieldhold("restore", archive, new / "fieldhold.yaml", "--dry-run").returncode == 0
    assert list(new.iterdir()) == []


def test_a_passphrase_is_asked_for_unseen(tmp_path):
    (tmp_path / "fieldhold.yaml").write_text("gateway: { name: g }\nstore: { path: state }\nweb: off\n")
    child, terminal = pty.fork()
    if child == 0:
        os.execv(BINARY, [str(BINARY), "backup", str(tmp_path / "g.backup"), str(tmp_path / "fieldhold.yaml")])
    screen, end = b"", time.monotonic() + 30
    answers = [b"Password: ", b"Once more: "]
    while b"keep the passphrase" not in screen and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                screen += os.read(terminal, 4096)
            except OSError:
                break
        if answers and answers[0] in screen:
            answers.pop(0)
            os.write(terminal, WORDS.encode() + b"\n")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, screen
    assert WORDS.encode() not in screen
    shutil.rmtree(tmp_path / "new", ignore_errors=True)
    (tmp_path / "new").mkdir()
    assert fieldhold("restore", tmp_path / "g.backup", tmp_path / "new/fieldhold.yaml").returncode == 0
