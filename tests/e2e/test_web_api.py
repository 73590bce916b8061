"""The API against its own description: schemathesis makes requests of it, right ones and wrong ones."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import BINARY

#: Streams never end, so nothing can be said of their answers as a whole.
STREAMS = "/events$|/broker/listen$"
EXAMPLES = 25


@pytest.fixture
def demo(tmp_path):
    """A demonstration, where nobody has to sign in; where its page is."""
    process = subprocess.Popen(
        [BINARY, "demo", "--state-dir", tmp_path, "--web", "127.0.0.1:0"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    try:
        yield re.search(r"http://\S+", process.stdout.readline())[0]
    finally:
        process.terminate()
        process.wait(20)


def test_schemathesis_finds_no_failure(demo):
    command = [
        Path(sys.executable).parent / "schemathesis", "run", f"{demo}/api/v1/openapi.json",
        "--url", demo, "--exclude-path-regex", STREAMS, "--max-examples", str(EXAMPLES),
        "--generation-deterministic", "--no-color",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
