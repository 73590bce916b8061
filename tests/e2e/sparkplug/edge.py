"""A recorded session that breaks no rule, made by hand: what the checker is tried on."""

import protobuf

NOW = 1_790_000_000_000
GROUP, NODE, HOST = "plant", "edge", "scada"
DEVICES = {"press": ["count", "setpoint"], "oven": ["heat"]}


class Tape:
    """Writes records as the proxy does."""

    def __init__(self):
        self.records, self.t, self.connection, self.seq, self.bd_seq = [], 0.0, 0, 0, -1
        self.version = 4

    def add(self, sender, packet, **more):
        self.t += 0.01
        record = {"t": self.t, "wall": NOW + self.t * 1000, "connection": self.connection, "from": sender}
        self.records.append(record | {"packet": packet} | more)

    def connect(self, version):
        self.connection, self.version, self.bd_seq = self.connection + 1, version, self.bd_seq + 1
        will = {"qos": 1, "retain": False, "topic": f"spBv1.0/{GROUP}/NDEATH/{NODE}", "payload": self.death()}
        properties = {0x11: 0} if version == 5 else {}
        self.add("client", "connect", version=version, clean=True, keep_alive=30, properties=properties, will=will)
        self.add("server", "connack", reason=0)
        for kind, tail in (("STATE", HOST), (f"{GROUP}/NCMD", NODE), (f"{GROUP}/DCMD", f"{NODE}/press")):
            self.add("client", "subscribe", filters=[(f"spBv1.0/{kind}/{tail}", 1)])

    def death(self):
        metric = {"name": "bdSeq", "datatype": 4, "timestamp": NOW, "long_value": self.bd_seq}
        return protobuf.write({"timestamp": NOW, "metrics": [metric]})

    def host(self, online, timestamp):
        payload = f'{{"online":{str(online).lower()},"timestamp":{timestamp}}}'.encode()
        self.heard(f"STATE/{HOST}", payload)

    def heard(self, topic, payload):
        self.add("server", "publish", topic=f"spBv1.0/{topic}", payload=payload, qos=0, retain=False)

    def send(self, kind, device, metrics):
        self.seq = 0 if kind == "NBIRTH" else (self.seq + 1) % 256
        message = {"timestamp": NOW + int(self.t * 1000), "metrics": metrics, "seq": self.seq}
        self.publish(kind, device, protobuf.write(message), 0)

    def publish(self, kind, device, payload, qos):
        topic = "/".join(["spBv1.0", GROUP, kind, NODE] + ([device] if device else []))
        self.add("client", "publish", topic=topic, payload=payload, qos=qos, retain=False, id=qos)

    def births(self):
        number = {"name": "bdSeq", "alias": 1, "timestamp": NOW, "datatype": 4, "long_value": self.bd_seq}
        control = {"name": "Node Control/Rebirth", "timestamp": NOW, "datatype": 11, "boolean_value": 0}
        self.send("NBIRTH", None, [number, control])
        for device in DEVICES:
            self.birth(device)

    def birth(self, device):
        metrics = []
        for name in DEVICES[device]:
            quality = {"keys": ["Quality"], "values": [{"type": 3, "int_value": 192}]}
            metrics.append({"name": name, "alias": alias(name), "timestamp": NOW - 5, "datatype": 10,
                            "properties": quality, "double_value": 0.5})
        self.send("DBIRTH", device, metrics)

    def data(self, device, *values, historical=False):
        metrics = [
            {"alias": alias(name), "timestamp": NOW + at, "double_value": value}
            | ({"is_historical": 1} if historical else {})
            for at, (name, value) in enumerate(values)
        ]
        self.send("DDATA", device, metrics)

    def stale(self, device):
        quality = {"keys": ["Quality"], "values": [{"type": 3, "int_value": 500}]}
        metrics = [{"alias": alias(n), "timestamp": NOW, "is_null": 1, "properties": quality} for n in DEVICES[device]]
        self.send("DDATA", device, metrics)

    def goodbye(self):
        self.publish("NDEATH", None, self.death(), 1)
        self.add("client", "disconnect", reason=4 if self.version == 5 else 0)
        self.add("client", "close")


def alias(name):
    return 2 + [n for names in DEVICES.values() for n in names].index(name)


def tape():
    """Two connections: data, a device lost and back, a rebirth, an old STATE, the host gone; and again by MQTT 5."""
    tape = Tape()
    tape.connect(4)
    tape.host(True, 100)
    tape.births()
    tape.data("press", ("count", 1.0), ("setpoint", 2.0))
    tape.data("press", ("count", 0.7), historical=True)
    tape.stale("oven")
    tape.send("DDEATH", "oven", [])
    tape.birth("oven")
    rebirth = [{"name": "Node Control/Rebirth", "timestamp": NOW, "datatype": 11, "boolean_value": 1}]
    tape.heard(f"{GROUP}/NCMD/{NODE}", protobuf.write({"timestamp": NOW, "metrics": rebirth}))
    tape.births()
    tape.data("press", ("count", 3.0))
    tape.host(False, 99)
    tape.t += 2
    tape.data("press", ("count", 4.0))
    tape.host(False, 100)
    tape.goodbye()
    tape.connect(5)
    tape.host(True, 101)
    tape.births()
    tape.data("oven", ("heat", 5.0))
    tape.goodbye()
    return tape.records
