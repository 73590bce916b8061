"""What a service manager is told, heard on a real socket."""

import os
import re
import signal
import socket
import threading

import pytest
from conftest import Gateway, free_port, listening, wait_for

NOBODY = "modbus-tcp: { host: 127.0.0.1, port: %d }"


class Manager:
    """Plays the service manager: a datagram socket, by a path or by an abstract name."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.said = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        try:
            while data := self.socket.recv(4096):
                self.said.append(data.decode())
        except OSError:
            return  # closed at the end of the test

    def heard(self, start):
        return [line for line in list(self.said) if line.startswith(start)]

    def close(self):
        self.socket.close()


def config(port=None, broker=None):
    lines = ["gateway: { name: press }", "store: { path: state }"]
    if broker:
        lines.append('broker: { listeners: [ { tcp: "127.0.0.1:%d" } ] }' % broker)
    if port:
        lines += [
            "buses: { hall: { %s } }" % (NOBODY % port),
            "devices: { m: { bus: hall, unit: 1, every: 100ms, tags: { t: { holding: 0, type: u16 } } } }",
            "uplinks: { cloud: { url: 'mqtt://127.0.0.1:%d' } }" % port,
        ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def manager(tmp_path, started):
    return started(Manager(str(tmp_path / "notify")))


def gateway(tmp_path, text, address, **environment):
    gateway = Gateway(tmp_path / "gateway", text)
    gateway.options["env"] = {**os.environ, "NOTIFY_SOCKET": address, **environment}
    return gateway


def test_ready_is_said_while_every_bus_and_uplink_is_dead(tmp_path, manager, started):
    broker = free_port()
    g = started(gateway(tmp_path, config(free_port(), broker), str(tmp_path / "notify")))
    ready = wait_for(lambda: manager.heard("READY=1"), what="READY=1")
    assert listening(broker), "the broker listens by then"
    assert re.fullmatch(r"READY=1\nSTATUS=0 of 1 devices answer, 1 uplink: away, \d+ waiting", ready[0])
    assert g.stop() == 0
    wait_for(lambda: manager.heard("STOPPING=1"), what="STOPPING=1")
    assert len(manager.heard("READY=1")) == 1


def test_an_abstract_socket_hears_pings(tmp_path, started):
    name = f"fieldhold-e2e-{os.getpid()}"
    manager = started(Manager("\0" + name))
    started(gateway(tmp_path, config(), "@" + name, WATCHDOG_USEC="600000"))
    wait_for(lambda: len(manager.heard("WATCHDOG=1")) >= 4, what="pings")
    assert manager.said[0].startswith("READY=1")


def test_a_watchdog_of_another_process_is_not_ours(tmp_path, manager, started):
    started(gateway(tmp_path, config(), str(tmp_path / "notify"), WATCHDOG_USEC="100000", WATCHDOG_PID="1"))
    # The line of the status is renewed, so the unit has had its turns; and no ping was among them.
    wait_for(lambda: manager.heard("READY=1"), what="READY=1")
    assert not manager.heard("WATCHDOG=1")


def test_a_reload_is_said_with_its_time_and_ends_ready(tmp_path, manager, started):
    g = started(gateway(tmp_path, config(), str(tmp_path / "notify")))
    wait_for(lambda: manager.heard("READY=1"), what="READY=1")
    g.signal(signal.SIGHUP)
    said = wait_for(lambda: manager.heard("RELOADING=1"), what="RELOADING=1")
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", said[0])
    wait_for(lambda: len(manager.heard("READY=1")) == 2, what="ready again")
    assert manager.said.index(said[0]) < len(manager.said) - 1


def test_a_broker_whose_port_is_taken_does_not_hold_up_ready(tmp_path, manager, started):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        g = gateway(tmp_path, config(broker=taken.getsockname()[1]), str(tmp_path / "notify"))
        started(g)
        wait_for(lambda: manager.heard("READY=1"), what="READY=1")
        g.wait(lambda status: status["units"]["broker"]["state"] == "waiting")
