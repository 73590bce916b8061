"""What a receiver is told of what it missed, against a real cloud broker (docs/notices.md)."""

import json
import signal

from conftest import BACK_ONLINE, Gateway, Mosquitto, Recorder, readings, wait_for
from plant import CountingDevice

TOPIC = "plant1/gw/notice"
# Tags beside the counter, so that 1 MiB of memory is soon full.
PADDING = 60


class Unwatched(Gateway):
    """A gateway without a state directory has no control socket to ask for its status."""

    def start(self):
        return super().start(ready=False)


def config(device, cloud, store, padding=PADDING):
    tags = "\n".join(f"      r{r}: {{ holding: {r}, type: u16 }}" for r in range(2, 2 + padding))
    return f"""
gateway: {{ name: gw, site: plant1 }}
buses:
  line: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device.port} }} }}
devices:
  meter:
    bus: line
    unit: 1
    every: 20ms
    tags:
      count: {{ holding: 0, type: u32 }}
{tags}
uplinks:
  cloud: {{ url: "mqtt://127.0.0.1:{cloud}" }}
store: {{ {store} }}
"""


def notices(recorder, kind):
    """Those of class normal, each once, in the order of arrival."""
    found = {}
    for message in recorder.on(TOPIC):
        notice = json.loads(message.payload)
        if notice["notice"] == kind and notice["class"] == "normal":
            assert found.setdefault(notice["id"], notice) == notice, "a repetition that differs"
    return list(found.values())


def span(notice):
    return set(range(notice["from"], notice["to"]))


def arrived(recorder):
    """The positions that arrived; all came under one prefix."""
    positions = {}
    for _, _, _, key in readings(list(recorder.messages)):
        prefix, position = key.rsplit("-", 1)
        positions.setdefault(prefix, set()).add(int(position))
    if not positions:
        return set()
    ((prefix, positions),) = positions.items()
    # What a prefix means may be told after the first readings that have it.
    first = wait_for(lambda: notices(recorder, "new-epoch"), 15, "the prefix told")[0]
    assert (first["prefix"], first["from"]) == (prefix, 0)
    return positions


def polls(device, count):
    before = device.served
    wait_for(lambda: device.served >= before + count, 60, f"{count} polls")


def unexplained(recorder, kinds):
    """Positions up to the newest that neither arrived nor were told."""
    positions = arrived(recorder)
    told = set().union(*(span(notice) for kind in kinds for notice in notices(recorder, kind)))
    return set(range(max(positions, default=0))) - positions - told


def test_what_memory_could_not_hold_is_told_exactly(tmp_path, started):
    """The cloud is away, memory overflows: what arrives and what the gaps name is everything."""
    device = started(CountingDevice())
    cloud = Mosquitto(tmp_path / "cloud")
    text = config(device, cloud.port, "path: none, ram: 1MiB")
    gateway = Unwatched(tmp_path / "gw", text)
    started(gateway)
    polls(device, 900)
    gateway.signal(signal.SIGSTOP)  # the recorder must hear everything
    started(cloud)
    recorder = started(Recorder(cloud.port))
    gateway.signal(signal.SIGCONT)
    wait_for(lambda: notices(recorder, "gap"), BACK_ONLINE, "a gap")
    polls(device, 50)
    wait_for(lambda: not unexplained(recorder, ["gap"]), 60, "everything arrived or told")
    lost = set()
    for gap in notices(recorder, "gap"):
        assert (gap["reason"], gap["n"]) == ("ram-full", len(span(gap)))
        assert gap["ts_from"] < gap["ts_to"]
        assert not lost & span(gap), "told in two gaps"
        lost |= span(gap)
    assert len(lost) > 1000 and not lost & arrived(recorder), "told as missing, and arrived"
    print(f"{len(arrived(recorder))} arrived, {len(lost)} told in {len(notices(recorder, 'gap'))} gap(s)")


def test_the_jump_after_a_kill_is_told_as_no_loss(tmp_path, started):
    device = started(CountingDevice())
    cloud = started(Mosquitto(tmp_path / "cloud"))
    recorder = started(Recorder(cloud.port))
    text = config(device, cloud.port, "path: state, commit: 100ms", padding=2)
    gateway = started(Gateway(tmp_path / "gw", text))
    polls(device, 50)
    assert gateway.stop() == 0
    gateway.start()
    polls(device, 50)
    assert not notices(recorder, "resume"), "an orderly end is no crash"
    gateway.kill()
    gateway.start()
    polls(device, 50)
    wait_for(lambda: notices(recorder, "resume"), 30, "the jump told")
    wait_for(lambda: not unexplained(recorder, ["resume"]), 30, "everything arrived or jumped over")
    (jump,) = notices(recorder, "resume")

    def beyond():
        return {position for position in arrived(recorder) if position >= jump["to"]}

    wait_for(beyond, 30, "a reading after the jump")
    assert min(beyond()) == jump["to"], "counting goes on where the notice says"
    assert len(span(jump) - arrived(recorder)) > 1000, "most of it was never given out"
