"""The loss report's harness sees what it has to see, and the documents say what the results say."""

import json
import shutil
import subprocess
import sys

from conftest import BINARY, ROOT

BENCH = ROOT / "tests/bench"
sys.path.insert(0, str(BENCH))

import loss  # noqa: E402
import report  # noqa: E402
import subjects.fieldhold  # noqa: E402

SECONDS = 8


def test_the_harness_sees_who_loses(tmp_path, monkeypatch):
    """A connection that is forgotten: the gateway that is known to be bad loses what it published into
    it, Fieldhold nothing, and nobody sends a wrong value."""
    monkeypatch.setattr(loss, "PATIENCE", 20)
    monkeypatch.setattr(loss, "WORK", tmp_path / "work")
    monkeypatch.setattr(subjects.fieldhold, "BINARY", BINARY)
    names = ["Fieldhold", "known to be bad"]
    found = loss.main(["forgotten"], names, SECONDS, 1, tmp_path / "loss.json")["forgotten"]
    good, bad = (found[name] for name in names)
    assert good["lost"] == good["in_window"] == good["wrong"] == bad["wrong"] == 0, found
    assert good["arrived"] == good["sent"] > SECONDS * loss.TAGS, found
    # Most of what was read while nothing passed.
    assert bad["lost"] > SECONDS * loss.TAGS, found
    assert bad["arrived"] + bad["lost"] == bad["sent"], found


def test_the_oracle_knows_a_wrong_value(tmp_path):
    """Another tag's value, and one that was never served."""
    log = tmp_path / "received"
    values = {"t0": 1, "t1": 1, "t2": 2 << 24 | 9}
    log.write_text(json.dumps(["bench/d0", json.dumps({"values": values})]) + "\n")
    subject = subjects.fieldhold.Fieldhold(tmp_path / "gateway", [], 0)
    found = loss.Oracle(subject, [[1.0], [1.0], [1.0]], log).verdict(2.0)
    assert (found["sent"], found["arrived"], found["lost"], found["wrong"]) == (3, 1, 2, 2), found


def test_the_documents_are_what_the_results_make():
    done = subprocess.run([sys.executable, BENCH / "report.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_another_number_makes_another_document(tmp_path, monkeypatch):
    shutil.copytree(report.RESULTS, tmp_path / "results")
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    file = tmp_path / "results/loss.json"
    changed = json.loads(file.read_text())
    changed["found"]["stalled"]["Fieldhold"]["lost"] += 1
    file.write_text(json.dumps(changed))
    stale = [path.name for path, content in report.documents().items() if path.read_text() != content]
    assert sorted(stale) == ["loss-report.md", "loss-report.svg"]
