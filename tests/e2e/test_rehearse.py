"""`fieldhold rehearse` on configurations whose outage can be reckoned by hand."""

import json
import subprocess

import pytest

from conftest import BINARY

TAGS = "\n".join(f"      t{n}: {{ holding: {2 * n}, type: f32, unit: V, every: 1s }}" for n in range(20))


@pytest.fixture
def rehearse(tmp_path):
    """Runs it on a file with twenty tags a second and these uplinks; temporary files go where they are seen."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def run(*arguments, uplinks='cloud: { url: "mqtt://broker.example", send: ["#"] }', more=""):
        config = tmp_path / "fieldhold.yaml"
        uplinks = f"uplinks:\n  {uplinks}\n" if uplinks else ""
        config.write_text(
            "gateway: { name: g, site: s }\nbuses:\n  hall: { modbus-tcp: { host: 192.0.2.1 } }\n"
            f"devices:\n  d:\n    bus: hall\n    tags:\n{TAGS}\n{uplinks}"
            f"store: {{ path: {tmp_path / 'state'}{more} }}\n"
        )
        words = [BINARY, "rehearse", config, *arguments]
        result = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300,
                                env={"TMPDIR": str(scratch), "PATH": "/usr/bin:/bin"})
        assert not list(scratch.iterdir()), "what was made for a while is gone"
        assert not (tmp_path / "state").exists(), "the configured store is left alone"
        return result

    return run


def test_json_has_what_can_be_reckoned_by_hand(rehearse):
    result = rehearse("--outage", "10min", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["outage_ms"] == answer["measured_ms"] == 600_000
    cloud = answer["uplinks"][0]
    assert cloud["classes"]["normal"]["waiting"] == 12_000
    assert cloud["first_drop_ms"] is None and cloud["drain"]["state"] == "drained"
    assert cloud["drain"]["readings"] >= 12_000
    for sample in answer["samples"]:
        account = sample["uplinks"]["cloud"]
        told = account["delivered"] + account["excluded"] + account["dropped"] + account["waiting"]
        assert account["appended"] == told, sample
    during = [sample for sample in answer["samples"] if sample["at_ms"] <= 600_000]
    assert len(during) > 50
    for sample in during:
        assert abs(sample["uplinks"]["cloud"]["waiting"] - sample["at_ms"] / 50) <= 20, sample
    store = answer["store"]
    assert (store["power_cut_ms"], store["power_cut_readings"]) == (1_000, 20)
    assert 0 < store["bytes"] < store["allowed_bytes"] and store["written_bytes"] > store["bytes"]
    assert store["card_years"] == pytest.approx(
        store["endurance_bytes"] / store["written_bytes_per_day"] / 365.25, rel=0.01)


def test_the_text_says_the_answer_first_and_is_plain_without_a_terminal(rehearse):
    result = rehearse("--outage", "10min")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("After 10 min away 12,000 readings wait in "), lines[0]
    assert lines[1] == "Nothing is dropped."
    assert result.stdout.isascii()
    for words in ["10 min: the link is back", "uplink cloud (required)", "power cut", "taken for granted"]:
        assert words in result.stdout, result.stdout


def test_a_long_outage_is_computed_in_part_and_says_so(rehearse):
    result = rehearse("--outage", "90d", "--json")
    assert result.returncode == 1, "what is older than 30 days goes"
    answer = json.loads(result.stdout)
    assert answer["measured_ms"] < answer["outage_ms"]
    assert any("computed" in text for text in answer["assumed"])
    normal = answer["uplinks"][0]["classes"]["normal"]
    assert normal["appended"] == pytest.approx(90 * 86_400 * 20, rel=0.001)
    assert list(normal["dropped_why"]) == ["age"]
    assert normal["waiting"] == pytest.approx(30 * 86_400 * 20, rel=0.001)
    assert answer["uplinks"][0]["first_drop_ms"] == 30 * 86_400_000


def test_a_rate_bounds_the_drain_and_too_low_a_one_never_gets_through(rehearse):
    slow = 'cloud: { url: "mqtt://b", send: ["#"], backlog: { payload: tag }, rate: { messages: %s } }'
    result = rehearse("--outage", "5min", "--json", uplinks=slow % "80/s")
    drain = json.loads(result.stdout)["uplinks"][0]["drain"]
    # 6,000 that waited, at what the 20 live ones in each second leave.
    assert drain["bound"] == "rate-messages" and 6_000 / 60 <= drain["ms"] / 1000 <= 6_000 / 50
    result = rehearse("--outage", "5min", uplinks=slow % "15/s")
    assert result.returncode == 1
    assert "cloud never gets through" in result.stdout


@pytest.mark.parametrize(("arguments", "uplinks", "says"), [
    (["--outage", "1h"], "", "no uplink"),
    (["--outage", "1s"], None, "10s to 366d"),
    (["--outage", "a while"], None, "not a duration"),
    (["--rtt", "5min"], None, "at most 1min"),
])
def test_what_cannot_be_meant_is_said(rehearse, arguments, uplinks, says):
    result = rehearse(*arguments) if uplinks is None else rehearse(*arguments, uplinks=uplinks)
    assert result.returncode == 2
    assert says in result.stderr and "panicked" not in result.stderr, result.stderr


def test_a_directory_that_is_not_there_is_said_with_the_option(rehearse, tmp_path):
    result = rehearse("--dir", tmp_path / "absent")
    assert result.returncode == 1
    assert "--dir" in result.stderr and "absent" in result.stderr


def test_mistakes_of_the_file_are_said_as_check_says_them(tmp_path):
    config = tmp_path / "bad.yaml"
    config.write_text("gateway: { name: g, nmae: h }\n")
    result = subprocess.run([BINARY, "rehearse", config], capture_output=True, text=True, timeout=60)
    check = subprocess.run([BINARY, "check", config], capture_output=True, text=True, timeout=60)
    assert result.returncode == check.returncode == 2
    assert result.stderr == check.stderr
