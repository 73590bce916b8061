"""The cloud of the loss report: a broker for MQTT 3.1.1 and 5 that writes down what comes before it
acknowledges it, so that its log is the truth even when it is killed. Any topic, QoS 0 to 2. Nothing is passed
on, but a ThingsBoard gateway gets the one answer without which it sends nothing.

    python cloud.py HOST PORT LOG

A line of the log: the topic and the payload, as JSON texts.
"""

import asyncio
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from ledger import Ledger, serve  # noqa: E402


def thingsboard_answer(topic, payload):
    """What the platform answers to a gateway that asks for its limits: (topic, payload), or None."""
    request = topic.rpartition("v1/devices/me/rpc/request/")[2]
    if request == topic or "getSessionLimits" not in payload:
        return None
    limits = {"maxPayloadSize": 65536, "maxInflightMessages": 100, "rateLimits": {}, "gatewayRateLimits": {}}
    return f"v1/devices/me/rpc/response/{request}", json.dumps(limits)


class Broker(Ledger):
    def record(self, first, topic, payload):
        return (json.dumps([topic.decode(), payload.decode(errors="replace")]) + "\n").encode()

    def reply(self, topic, payload):
        answer = thingsboard_answer(topic.decode(), payload.decode(errors="replace"))
        return answer and tuple(part.encode() for part in answer)


if __name__ == "__main__":
    asyncio.run(serve(Broker, sys.argv[3], int(sys.argv[2]), sys.argv[1]))
