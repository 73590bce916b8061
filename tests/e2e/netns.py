"""A network of our own, in which packets can be dropped. Root only."""

import itertools
import os
import subprocess
import threading


class Namespace:
    """A host of our own behind a veth pair, whose incoming packets can be dropped."""

    numbers, one_at_a_time = itertools.count(), threading.Lock()

    def __enter__(self):
        with self.one_at_a_time:
            self._make()
        return self

    def _make(self):
        which = f"{os.getpid()}-{next(self.numbers)}"
        self.name, self.link = f"fieldhold-{which}", f"fh{which}"
        self.prefix = ("ip", "netns", "exec", self.name)
        here, self.host = self.addresses()
        peer = f"{self.link}p"
        for line in (
            f"ip netns add {self.name}",
            f"ip link add {self.link} type veth peer name {peer}",
            f"ip link set {peer} netns {self.name}",
            f"ip addr add {here}/30 dev {self.link}",
            f"ip link set {self.link} up",
            f"ip netns exec {self.name} ip addr add {self.host}/30 dev {peer}",
            f"ip netns exec {self.name} ip link set {peer} up",
            f"ip netns exec {self.name} ip link set lo up",
        ):
            subprocess.run(line.split(), check=True)

    @staticmethod
    def addresses():
        """Two of a network that nobody has here: a run that was killed may have left its own."""
        taken = subprocess.run(["ip", "-4", "route"], check=True, capture_output=True, text=True).stdout
        for net in (f"10.213.77.{first}" for first in range(0, 256, 4)):
            if net not in taken.replace("/", " ").split():
                first = int(net.rsplit(".", 1)[1])
                return f"10.213.77.{first + 1}", f"10.213.77.{first + 2}"
        raise AssertionError("no network of 10.213.77.0/24 is free; see `ip netns` for what was left behind")

    def drop(self, on):
        flag = "-A" if on else "-D"
        for chain in ("INPUT", "OUTPUT"):
            subprocess.run([*self.prefix, "iptables", flag, chain, "-j", "DROP"], check=True)

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        subprocess.run(["ip", "link", "del", self.link], check=False, stderr=subprocess.DEVNULL)
