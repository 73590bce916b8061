"""Who knows every value that was there to be read, and judges what arrived.

A value is `tag << 24 | n`, the n-th of its tag. What the device served (for a LAN broker: what its publisher was
told is safe) has to arrive. Nothing else may arrive.
"""

import collections
import json
import pathlib
import threading
import time

import paho.mqtt.client as mqtt

# What a busy machine, a slow disk and the answer's way may add to a stated window.
SLACK = 0.25
BEFORE_STOP = 0.1


class Publisher:
    """A client on the LAN: one message with every tag each interval, at QoS 1, sent again until it is
    acknowledged. `served` are the times at which it was told that a value is safe, 0 for not yet."""

    def __init__(self, port, tags, every_ms):
        self.served, self.numbers, self.stopping = [[] for _ in range(tags)], {}, threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "publisher", clean_session=False)
        self.client.on_publish = self._safe
        self.client.max_queued_messages_set(0)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()
        threading.Thread(target=self._publish, args=(every_ms / 1000,), daemon=True).start()

    def _publish(self, every):
        while not self.stopping.wait(every):
            for times in self.served:
                times.append(0.0)
            values = {f"t{tag}": tag << 24 | len(times) for tag, times in enumerate(self.served)}
            sent = self.client.publish("plant/d0", json.dumps({"values": values}), qos=1)
            self.numbers[sent.mid] = len(self.served[0])

    def _safe(self, client, userdata, mid, *_):
        # The acknowledgement may be faster than the return of publish().
        while (number := self.numbers.pop(mid, None)) is None:
            time.sleep(0.001)
        for times in self.served:
            times[number - 1] = time.monotonic()

    def close(self):
        self.stopping.set()
        self.client.disconnect()
        self.client.loop_stop()


class Oracle:
    def __init__(self, subject, served, log):
        self.subject, self.served, self.log = subject, served, pathlib.Path(log)
        self.seen, self.empty, self.notices = collections.Counter(), collections.Counter(), set()
        self.wrong, self.read_to, self.told = [], 0, 0
        # Times at which it was killed, and (begin, end) of orderly stops.
        self.kills, self.stops = [], []

    def look(self):
        """Takes what has been added to the cloud's log; how many readings have arrived in all."""
        with open(self.log, "rb") as log:
            log.seek(self.read_to)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self.read_to += len(line)
                self._message(*json.loads(line))
        return len(self.seen)

    def _message(self, topic, payload):
        try:
            self._judge(topic, payload)
        except (ValueError, KeyError, TypeError, AttributeError):
            # Not in the subject's own form: what it was is not known any more.
            self.wrong.append((topic, payload[:60]))

    def _judge(self, topic, payload):
        if payload not in self.notices and (told := self.subject.told(topic, payload)):
            self.notices.add(payload)  # It may come again, under the same id.
            self.told += told
        for tag, value in list(self.subject.values(topic, payload)):
            if value is None:
                self.empty[tag] += 1
                continue
            known = isinstance(value, int) and value >> 24 == tag and 1 <= value & 0xFFFFFF <= len(self.served[tag])
            if known:
                self.seen[tag, value & 0xFFFFFF] += 1
            else:
                self.wrong.append((tag, value))

    def expected(self, until):
        return {
            (tag, n): at
            for tag, times in enumerate(self.served)
            for n, at in enumerate(list(times), 1)
            if 0 < at <= until
        }

    def missing(self, until):
        self.look()
        return {key: at for key, at in self.expected(until).items() if key not in self.seen}

    def verdict(self, until):
        missing = self.missing(until)
        window = {key for key, at in missing.items() if self._excused(at)}
        rest = collections.Counter(tag for tag, _ in missing.keys() - window)
        said = sum(min(count, self.empty[tag]) for tag, count in rest.items())
        return {
            "sent": len(self.expected(until)),
            "arrived": len(self.expected(until)) - len(missing),
            "lost": rest.total() - said,
            "told": max(0, self.told),
            "said_no_value": said,
            "in_window": len(window),
            "wrong": len(self.wrong),
            "duplicated": sum(count - 1 for count in self.seen.values()),
            "examples": {
                "wrong": self.wrong[:5],
                "lost": sorted(missing.keys() - window)[:5],
                "in_window_ms": sorted({self._after_end_ms(missing[key]) for key in window})[:5],
            },
        }

    def _after_end_ms(self, at):
        """How long after the nearest beginning of an end it had been read."""
        ends = self.kills + [begin + BEFORE_STOP for begin, _ in self.stops]
        return round(1000 * min((at - end for end in ends), key=abs))

    def stopped(self, begin, end):
        """An answer may have been under way to it when it was told to stop, and while it was ending."""
        self.stops.append((begin - BEFORE_STOP, end))

    def _excused(self, at):
        killed = any(kill - self.subject.window - SLACK <= at <= kill + SLACK for kill in self.kills)
        return killed or any(begin <= at <= end for begin, end in self.stops)
