"""A shared bus: mbpoll and pymodbus read the line that Fieldhold polls."""

import re
import subprocess
import sys
import threading
import time

from pymodbus.client import ModbusTcpClient

from conftest import BINARY, Gateway, Process, free_port, listening, wait_for
from test_values import HERE


def line(tmp_path, started):
    """A server of pymodbus on a pseudo-terminal; register 1 holds 32768, register 6.. 231.42."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    pair = [f"pty,raw,echo=0,link={ours}", f"pty,raw,echo=0,link={theirs}"]
    started(Process(["socat", *pair], tmp_path / "socat.log"))
    wait_for(lambda: ours.exists() and theirs.exists(), what="the line")
    started(Process([sys.executable, HERE / "pymodbus_server.py", "rtu", theirs], tmp_path / "server.log"))
    return ours


def gateway(tmp_path, started, port, share):
    config = f"""
gateway: {{ name: edge }}
buses:
  line:
    modbus-rtu: {{ port: {port}, baud: 19200, parity: none }}
    share: {share}
devices:
  meter:
    bus: line
    unit: 1
    every: 200ms
    timeout: 500ms
    tags:
      volts: {{ holding: 6, type: f32, unit: V }}
      level: {{ holding: 1, type: i16 }}
store: {{ path: state }}
"""
    running = started(Gateway(tmp_path / "gw", config))
    running.wait(lambda s: s["buses"]["line"]["devices"][0]["ok"] >= 3, what="polls")
    return running


def share(gateway):
    return gateway.status()["buses"]["line"]["share"]


def mbpoll(port, *arguments):
    ran = subprocess.run(
        ["mbpoll", "-m", "tcp", "-p", str(port), "-1", "-0", "-o", "3", *arguments],
        capture_output=True, text=True, timeout=30,
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_cached_values_for_mbpoll_and_pymodbus(tmp_path, started):
    port = free_port()
    running = gateway(tmp_path, started, line(tmp_path, started), f'{{ listen: "127.0.0.1:{port}" }}')
    code, said = mbpoll(port, "-a", "1", "-t", "4:float", "-B", "-r", "6", "127.0.0.1")
    assert code == 0 and re.search(r"\[6\]:\s+231\.42", said), said
    code, said = mbpoll(port, "-a", "1", "-t", "4", "-r", "500", "127.0.0.1")
    assert code != 0 and "failure" in said, said
    code, said = mbpoll(port, "-a", "1", "-t", "4", "-r", "1", "127.0.0.1", "77")
    assert code != 0 and "Illegal function" in said, said
    with ModbusTcpClient("127.0.0.1", port=port) as client:
        assert client.read_holding_registers(1, count=1, device_id=1).registers == [32768]
        assert client.read_holding_registers(1, count=1, device_id=77).exception_code == 10
        assert client.write_register(1, 5, device_id=1).exception_code == 1
    seen = share(running)
    assert seen["state"]["state"] == "listening" and seen["hits"] >= 2
    assert seen["writes_refused"] == 2 and seen["passed"] == 0 and seen["writes"] == 0
    shown = subprocess.run([BINARY, "status", running.config], capture_output=True, text=True).stdout
    assert f"127.0.0.1:{port}" in shown and "2 writes refused" in shown, shown


def test_through_the_line_with_allowed_writes_in_the_log(tmp_path, started):
    port = free_port()
    settings = f'{{ listen: "127.0.0.1:{port}", mode: through, write: [ {{ unit: 1, holding: 50..55 }} ] }}'
    running = gateway(tmp_path, started, line(tmp_path, started), settings)
    code, said = mbpoll(port, "-a", "1", "-t", "4", "-r", "50", "127.0.0.1", "1234")
    assert code == 0, said
    code, said = mbpoll(port, "-a", "1", "-t", "4", "-r", "50", "127.0.0.1")
    assert code == 0 and re.search(r"\[50\]:\s+1234", said), said
    with ModbusTcpClient("127.0.0.1", port=port) as client:
        assert client.read_holding_registers(10, count=2, device_id=1).registers == [0x6743, 0x856B]
        assert client.write_register(56, 5, device_id=1).exception_code == 1
        assert not client.write_registers(51, [1, 2], device_id=1).isError()
        assert client.read_holding_registers(51, count=2, device_id=1).registers == [1, 2]
    assert "client wrote" in running.output() and "address=50" in running.output()
    traced = subprocess.run([BINARY, "trace", "line", running.config, "--last", "999"], capture_output=True, text=True)
    assert "pass-through ● ok" in traced.stdout and "write holding 50 = 0x04d2" in traced.stdout
    # Stopped and started with its bus.
    running.write(running.config.read_text().replace("mode: through", "mode: cached"))
    running.signal(1)
    running.wait(lambda s: s["buses"]["line"]["share"]["mode"] == "cached", what="the new face")
    wait_for(lambda: listening(port), what="the face listening again")


def test_a_flood_costs_the_polls_no_tick(tmp_path, started):
    """Six clients ask as fast as they are answered, over a line of pseudo-terminals."""
    port = free_port()
    running = gateway(
        tmp_path, started, line(tmp_path, started), f'{{ listen: "127.0.0.1:{port}", mode: through }}'
    )
    answers, wrong, stop = [0] * 6, [], threading.Event()

    def flood(n):
        with ModbusTcpClient("127.0.0.1", port=port, timeout=5) as client:
            while not stop.is_set():
                answer = client.read_holding_registers(6, count=2, device_id=1)
                if answer.isError():
                    if answer.exception_code != 6:
                        wrong.append(answer)
                elif answer.registers != [0x4367, 0x6B85]:
                    wrong.append(answer.registers)
                else:
                    answers[n] += 1

    before = running.status()["buses"]["line"]["devices"][0]
    threads = [threading.Thread(target=flood, args=(n,)) for n in range(6)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    after = running.wait(
        lambda s: s["buses"]["line"]["devices"][0]["readings"] >= before["readings"] + 100, 40, "100 readings"
    )["buses"]["line"]["devices"][0]
    stop.set()
    seconds = time.monotonic() - begun
    for thread in threads:
        thread.join(10)
    assert not wrong, wrong[:5]
    assert all(answers), f"a client was starved: {answers}"
    missed = after["missed_ticks"] - before["missed_ticks"]
    print(f"{sum(answers) / seconds:.0f} answers/s to 6 clients, {missed} of {seconds / 0.2:.0f} ticks missed")
    assert missed <= 2, (missed, seconds)


def test_a_taken_port_is_a_state(tmp_path, started):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = gateway(tmp_path, started, line(tmp_path, started), f'{{ listen: "127.0.0.1:{port}" }}')
        assert share(running)["state"]["state"] == "down"
        shown = subprocess.run([BINARY, "status", running.config], capture_output=True, text=True).stdout
        assert "in use" in shown
    running.wait(lambda s: s["buses"]["line"]["share"]["state"]["state"] == "listening", 60, "listening")
