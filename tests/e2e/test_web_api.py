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
#: Whether signing in is asked for shows test_web_access.py, on every route and for every role. What is well
#: formed and can't be is told by 422, and a state that is not said by 428, which two of them do not expect.
LEFT_OUT = "ignored_auth,missing_required_header,positive_data_acceptance,negative_data_rejection"


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
    command = [
        Path(sys.executable).parent / "schemathesis", "run", f"{base}/api/v1/openapi.json", "--url", base,
        "--header", f"Authorization: Bearer {made.json['token']}", "--exclude-path-regex", STREAMS,
        "--exclude-checks", LEFT_OUT, "--max-examples", str(EXAMPLES), "--generation-deterministic", "--continue-on-failure", "--no-color",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    print(done.stdout[-20000:])
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
    # It was no use if the gateway ended, or if the token did.
    assert gateway.status()["gateway"]["name"] == "edge"
