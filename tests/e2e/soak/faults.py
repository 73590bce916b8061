"""The faults of the soak: what each does, what it excuses, and when it comes."""

import contextlib
import math
import random
import signal
import sqlite3
import threading
import time

# All devices at their shortest period.
READINGS_PER_S_MAX = 1_100
GATEWAY, CLOUD, LINK, LINE, LAN = "gateway", "cloud", "link", "line", "lan"


class Faults:
    """Drawn with a seed. A fault has a resource to itself; faults of different resources overlap."""

    def __init__(self, site, seed):
        self.site, self.dice = site, random.Random(seed)
        self.busy, self.lock = set(), threading.Lock()
        self.done, self.failed, self.running = [], [], []
        self.kinds = {
            "cloud killed": (CLOUD, self.cloud_killed, 3),
            "cloud ended": (CLOUD, self.cloud_ended, 2),
            "cloud stopped": (CLOUD, self.cloud_stopped, 3),
            "link silent": (LINK, self.link_silent, 4),
            "link reset": (LINK, self.link_reset, 4),
            "gateway killed": (GATEWAY, self.gateway_killed, 16),
            "gateway restarted": (GATEWAY, self.gateway_restarted, 8),
            "queue file damaged": (GATEWAY, self.queue_damaged, 6),
            "disk full": (GATEWAY, self.disk_full, 3 if site.disk.is_small else 0),
            "period changed": (GATEWAY, self.period_changed, 4),
            "device added or removed": (GATEWAY, self.guest_changed, 4),
            "device away": (None, self.device_away, 3),
            "connection reset": (None, self.device_reset, 3),
            "serial line unplugged": (LINE, self.line_unplugged, 3),
            "subscriber gone": (LAN, self.subscriber_gone, 3),
        }
        for deed in site.devices[0].DEEDS:
            self.kinds[f"device: {deed}"] = (None, self.deed(deed), 2)
        for deed in site.line.DEEDS:
            self.kinds[f"line: {deed}"] = (LINE, self.line_deed(deed), 1)

    ENDS_THE_GATEWAY = {"gateway killed", "gateway restarted", "queue file damaged"}

    def draw(self, is_calm):
        """Begins one. In a calm stretch the gateway's process lives on."""
        kinds = [k for k in self.kinds if self.kinds[k][2] and not (is_calm and k in self.ENDS_THE_GATEWAY)]
        while True:
            kind = self.dice.choices(kinds, [self.kinds[k][2] for k in kinds])[0]
            resource, act, _ = self.kinds[kind]
            if resource is None:
                resource = self.dice.choice(self.site.devices[:8])
            with self.lock:
                if resource in self.busy:
                    # The other resources are drawn from; a device is always free soon.
                    time.sleep(0.05)
                    continue
                self.busy.add(resource)
            break
        target = getattr(resource, "name", None)
        dice = random.Random(self.dice.random())
        thread = threading.Thread(target=self._run, args=(kind, resource, target, act, dice), daemon=True)
        self.running.append(thread)
        thread.start()

    def _run(self, kind, resource, target, act, dice):
        began = time.time()
        try:
            act(dice, *([resource] if target else []))
        except Exception as error:  # noqa: BLE001  A fault that could not be done fails the run, at its end.
            self.failed.append(f"{kind}: {type(error).__name__}: {error}"[:2000])
        with self.lock:
            self.busy.discard(resource)
        row = {"t": round(began - self.site.began, 1), "kind": kind, "s": round(time.time() - began, 1)}
        self.done.append(row | ({"at": target} if target else {}))

    def settle(self):
        """Until all that began are over."""
        for thread in self.running:
            thread.join(180)
            if thread.is_alive():
                self.failed.append("a fault did not end within 180 s")
        self.running = []

    # The cloud and the way to it.

    def cloud_killed(self, dice):
        self.site.cloud.kill()
        time.sleep(dice.choice([0, dice.uniform(0, 15)]))
        self.site.cloud.start()

    def cloud_ended(self, dice):
        self.site.cloud.stop()
        time.sleep(dice.choice([0, dice.uniform(0, 15)]))
        self.site.cloud.start()

    def cloud_stopped(self, dice):
        self.site.cloud.signal(signal.SIGSTOP)
        time.sleep(dice.uniform(0.5, 20))
        self.site.cloud.signal(signal.SIGCONT)

    def link_silent(self, dice):
        seconds = dice.uniform(0.5, 20)
        self.site.wire.silence(seconds)
        time.sleep(seconds)
        if dice.random() < 0.5:
            self.site.wire.reset()

    def link_reset(self, dice):
        self.site.wire.reset()

    # The gateway.

    def gateway_killed(self, dice):
        killed = self.site.kill_gateway()
        time.sleep(dice.choice([0, 0, dice.uniform(0, 5)]))
        # What a device answers before the next process is there went to the old one.
        self.site.oracle.events.kills.append((killed, time.time()))
        self.site.start_gateway()

    def gateway_restarted(self, dice):
        self._stop()
        time.sleep(dice.choice([0, 0, dice.uniform(0, 5)]))
        self.site.start_gateway()

    def _stop(self):
        began = time.time()
        code = self.site.gateway.stop(60)
        self.site.oracle.events.stops.append((began, time.time()))
        if code != 0:
            raise AssertionError(f"the gateway ended with {code}")

    def queue_damaged(self, dice):
        """Random bytes over pages of the file, its log brought in before or not, or over its head."""
        status = self.site.gateway.wait(lambda s: True)
        waited = [c for consumer in status["store"]["consumers"] for c in consumer["classes"]]
        began = time.time()
        oldest = max((c["oldest_ms"] or 0 for c in waited), default=0) / 1000
        most = sum(c["waiting"] for c in waited)
        self._stop()
        # What was read between the question and the end; the fastest that the plant can be is known.
        most += math.ceil((time.time() - began) * READINGS_PER_S_MAX)
        store = self.site.gateway.state / "store"
        database = store / "queue.db"
        if dice.random() < 0.5:
            with contextlib.closing(sqlite3.connect(database)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = database.stat().st_size
        places = [dice.randrange(size // 4096) * 4096 for _ in range(dice.randint(1, 4))]
        if dice.random() < 0.5:
            places.append(16)
        with open(database, "r+b") as file:
            for place in places:
                file.seek(place)
                file.write(dice.randbytes(64))
        self.site.oracle.events.damages.append((began - oldest - 1, time.time(), most))
        self.site.start_gateway()

    def disk_full(self, dice):
        self.site.disk.fill()
        time.sleep(dice.uniform(2, 12))
        self.site.disk.free()
        self.site.gateway.wait(lambda s: s["store"]["state"] == "ok", 60, "the store on disk again")

    def period_changed(self, dice):
        name = dice.choice(list(self.site.periods))
        if dice.random() < 0.5:
            self.site.periods[name] = dice.choice([200, 250, 300, 350])
        elif name in self.site.last_tag:
            del self.site.last_tag[name]
        else:
            self.site.last_tag[name] = dice.choice([300, 500, 1000])
        self.site.reload()

    def guest_changed(self, dice):
        self.site.has_guest = not self.site.has_guest
        self.site.reload()

    # The plant and the LAN.

    def device_away(self, dice, device):
        device.deaf()
        time.sleep(dice.uniform(0.5, 12))
        device.listen()

    def device_reset(self, dice, device):
        for _ in range(dice.randint(1, 4)):
            device.reset()
            time.sleep(dice.uniform(0.05, 1))

    def deed(self, deed):
        return lambda dice, device: self._misbehave(dice, device, deed)

    def line_deed(self, deed):
        return lambda dice: self._misbehave(dice, self.site.line, deed)

    def _misbehave(self, dice, device, deed):
        seconds = dice.uniform(1, 10)
        device.misbehave(deed, seconds)
        time.sleep(seconds)
        device.behave()

    def line_unplugged(self, dice):
        self.site.line.unplug()
        time.sleep(dice.uniform(0.2, 8))
        self.site.line.plug()

    def subscriber_gone(self, dice):
        self.site.subscriber.leave()
        time.sleep(dice.uniform(0.5, 20))
        self.site.subscriber.come_back()
