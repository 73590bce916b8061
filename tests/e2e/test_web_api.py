"""The API against its own description: schemathesis makes requests of it, right ones and wrong ones."""

import subprocess
import sys
from pathlib import Path

from conftest import Gateway, free_port, listening, wait_for
from page import Page
from test_values import pymodbus

#: Streams never end, so nothing can be said of their answers as a whole.
STREAMS = "/events$|/broker/listen$"
EXAMPLES = 6
#: Every check of schemathesis. What is well formed and can't be is told by 422, a state of the draft that
#: is not said by 428; the token is given as the scheme of the description, so that it can be left out.
SETTINGS = """
[auth.openapi.token]
bearer = "{token}"

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 413, 415, 422, 428, 429, "5xx"]

[checks.missing_required_header]
expected-statuses = [400, 401, 403, 406, 415, 422, 428]

# Any text at all is CSV, also one that looks like JSON.
[[operations]]
include-name = "POST /api/v1/mapping/import"
checks.negative_data_rejection.enabled = false
"""


def test_every_answer_is_as_described(tmp_path, started):
    """As an administrator, of a gateway that polls a device."""
    device, port, lan = free_port(), free_port(), free_port()
    pymodbus(tmp_path, started, "tcp", device)
    wait_for(lambda: listening(device), what="the pymodbus server")
    gateway = started(Gateway(tmp_path / "gw", f"""
gateway: {{ name: edge, site: works }}
buses:
  hall: {{ modbus-tcp: {{ host: 127.0.0.1, port: {device} }} }}
devices:
  meter: {{ bus: hall, unit: 1, every: 500ms, tags: {{ volts: {{ holding: 6, type: f32, unit: V, write: {{ min: 0, max: 400 }} }} }} }}
broker: {{ listeners: [ {{ tcp: "127.0.0.1:{lan}" }} ] }}
store: {{ path: state, commit: 100ms }}
web: {{ listen: "127.0.0.1:{port}", tls: off }}
"""))
    page = Page(gateway, port)
    made = page.ask("POST", "/tokens", {"name": "checker", "role": "admin", "days": 1})
    assert made.status == 201, made.body
    base = f"http://127.0.0.1:{port}"
    (tmp_path / "schemathesis.toml").write_text(SETTINGS.format(token=made.json["token"]))
    command = [
        Path(sys.executable).parent / "schemathesis", "run", f"{base}/api/v1/openapi.json", "--url", base,
        "--exclude-path-regex", STREAMS, "--max-examples", str(EXAMPLES), "--generation-deterministic", "--continue-on-failure", "--no-color",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    print(done.stdout[-20000:])
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
    # It was no use if the gateway ended, or if the token did.
    assert gateway.status()["gateway"]["name"] == "edge"
