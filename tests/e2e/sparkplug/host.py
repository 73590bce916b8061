"""A Sparkplug host application made with pysparkplug, an implementation that is not ours.

Prints a line of JSON for every message that it understood; a message that it can't read ends it. Takes lines of
JSON: {"rebirth": true}, {"write": [[device, name, datatype, value], ...]}.
"""

import json
import sys
import threading
import time

import pysparkplug as psp

PORT, GROUP, NODE = int(sys.argv[1]), sys.argv[2], sys.argv[3]
MESSAGES = ("NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH")
lock = threading.Lock()


def say(**what):
    with lock:
        print(json.dumps(what, default=repr), flush=True)


def heard(_, message):
    topic, payload = message.topic, message.payload
    metrics = [
        {
            "name": m.name, "type": m.datatype.name, "value": m.value, "null": m.is_null,
            "historical": m.is_historical, "timestamp": m.timestamp, "alias": m.alias,
        }
        for m in (payload.metrics if hasattr(payload, "metrics") else [getattr(payload, "bd_seq_metric", None)]) if m
    ]
    say(
        type=str(topic.message_type), device=topic.device_id, seq=getattr(payload, "seq", None), metrics=metrics,
        bd_seq=next((m["value"] for m in metrics if m["name"] == "bdSeq"), None),
    )


client = psp.Client(client_id="host", protocol=psp.MQTTProtocol.MQTT_V311)
client.connect("127.0.0.1", port=PORT)
for kind in MESSAGES:
    device = "+" if kind.startswith("D") else None
    client.subscribe(psp.Topic(GROUP, psp.MessageType[kind], NODE, device), psp.QoS(0), heard)
say(type="ready")
for line in sys.stdin:
    asked, now = json.loads(line), int(time.time() * 1000)
    if "rebirth" in asked:
        metric = psp.Metric(now, "Node Control/Rebirth", psp.DataType.BOOLEAN, value=True)
        topic = psp.Topic(GROUP, psp.MessageType.NCMD, NODE)
        client.publish(psp.Message(topic, psp.NCmd(now, (metric,)), psp.QoS(0), False), include_dtypes=True)
    for device, name, datatype, value in asked.get("write", ()):
        metric = psp.Metric(now, name, psp.DataType[datatype], value=value)
        topic = psp.Topic(GROUP, psp.MessageType.DCMD, NODE, device)
        client.publish(psp.Message(topic, psp.DCmd(now, (metric,)), psp.QoS(0), False), include_dtypes=True)
