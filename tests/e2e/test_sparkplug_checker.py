"""The checker itself: it finds nothing in a session that is right, and each rule finds what breaks it."""

import copy
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "sparkplug"))
import checker
import edge
import protobuf

ROOT = pathlib.Path(__file__).resolve().parents[2]


def judged(records):
    recording = checker.Recording(records, host=edge.HOST, devices=edge.DEVICES, writable=["press"])
    return checker.judge(recording)


def publishes(records, kind, connection=1):
    return [r for r in records if r["packet"] == "publish" and r["from"] == "client"
            and f"/{kind}/" in r["topic"] and r["connection"] == connection]


def edit(record, change):
    payload = protobuf.read(record["payload"])
    change(payload)
    record["payload"] = protobuf.write(payload)


def payload(kind, change, at=0):
    """Changes the payload of a publish of this kind."""
    return lambda records: edit(publishes(records, kind)[at], change)


def metric(kind, change, at=0, which=0):
    return payload(kind, lambda p: change(p["metrics"][which]), at)


def field(kind, **values):
    return lambda records: publishes(records, kind)[0].update(values)


def connect(change, which=0):
    def apply(records):
        change([r for r in records if r["packet"] == "connect"][which])

    return apply


def will(change):
    return connect(lambda c: edit(c["will"], change))


def drop(predicate):
    def apply(records):
        records[:] = [r for r in records if not predicate(r)]

    return apply


def move(kind, to, at=0):
    """Puts a publish before another record."""

    def apply(records):
        record = publishes(records, kind)[at]
        records.remove(record)
        records.insert(next(i for i, r in enumerate(records) if to(r)), record)

    return apply


def again(kind, change=lambda p: None):
    """Sends a publish a second time, changed, at once."""

    def apply(records):
        record = publishes(records, kind)[0]
        second = copy.deepcopy(record)
        edit(second, change)
        records.insert(records.index(record) + 1, second)

    return apply


def late(kind, seconds, at=0):
    """Moves a publish, and all that follows, later."""

    def apply(records):
        begin = records.index(publishes(records, kind)[at])
        for record in records[begin:]:
            record["t"] += seconds

    return apply


def both(*changes):
    def apply(records):
        for change in changes:
            change(records)

    return apply


def rename(old, new):
    def apply(records):
        for record in records:
            if record["packet"] == "publish" and record["from"] == "client":
                record["topic"] = record["topic"].replace(old, new)
            if record["packet"] == "connect":
                record["will"]["topic"] = record["will"]["topic"].replace(old, new)

    return apply


def ndata(records, **more):
    """The fixture sends none; this is one that is right but for `more`."""
    data = publishes(records, "DDATA")[0]
    message = {"timestamp": edge.NOW, "seq": 0,
               "metrics": [{"alias": 1, "timestamp": edge.NOW, "long_value": 9}]} | more.pop("payload", {})
    message = {k: v for k, v in message.items() if v is not None}
    record = copy.deepcopy(data) | {"topic": "spBv1.0/plant/NDATA/edge", "payload": protobuf.write(message)} | more
    records.insert(records.index(data), record)


def with_ndata(**more):
    return lambda records: ndata(records, **copy.deepcopy(more))


def is_packet(packet, sender="client", connection=1):
    return lambda r: r["packet"] == packet and r["from"] == sender and r["connection"] == connection


def template(m):
    m.update(datatype=19, template_value=b"")
    m.pop("double_value", None)


def quality(**change):
    def apply(m):
        m["properties"]["values"][0].update(change)

    return apply


HEAT = {"alias": 4, "timestamp": edge.NOW, "double_value": 1.0}

# What is broken -> the assertions that must complain, at least.
MUTATIONS = {
    "a group with a wildcard": (rename("/plant/", "/pl+nt/"), "intro-group-id-chars"),
    "another group in data": (field("DDATA", topic="spBv1.0/other/DDATA/edge/press"), "topics-ddata-topic"),
    "a node with a hash": (rename("/edge", "/ed#ge"), "intro-edge-node-id-chars"),
    "a device with a plus": (field("DDATA", topic="spBv1.0/plant/DDATA/edge/pr+ss"), "intro-device-id-chars"),
    "a device level too much": (field("NBIRTH", topic="spBv1.0/plant/NBIRTH/edge/x"), "topic-structure"),
    "a birth of another node": (field("DBIRTH", topic="spBv1.0/plant/DBIRTH/edg/press"), "topics-dbirth-topic"),
    "a death of another node": (field("DDEATH", topic="spBv1.0/plant/DDEATH/edg/oven"), "topics-ddeath-topic"),
    "data without a device": (field("DDATA", topic="spBv1.0/plant/DDATA/edge"),
                              "topic-structure-namespace-device-id-associated-message-types"),
    "another namespace": (field("DDATA", topic="spAv1.0/plant/DDATA/edge/press"), "topic-structure-namespace-a"),
    "node data of another node": (with_ndata(topic="spBv1.0/plant/NDATA/edg"), "topics-ndata-topic"),
    "a device born twice": (again("DBIRTH"), "topic-structure-namespace-unique-device-id"),
    "two devices by case": (field("DDATA", topic="spBv1.0/plant/DDATA/edge/PRESS"), "case-sensitivity-sparkplug-ids"),
    "two metrics by case": (metric("DBIRTH", lambda m: m.update(name="SETPOINT")), "case-sensitivity-metric-names"),
    "no clean session": (connect(lambda c: c.update(clean=False)), "principles-persistence-clean-session-311"),
    "a session that lasts": (connect(lambda c: c["properties"].update({0x11: 60}), 1),
                             "principles-persistence-clean-session-50"),
    "no will": (connect(lambda c: c.pop("will"), 1), "message-flow-edge-node-birth-publish-will-message"),
    "the will's topic": (connect(lambda c: c["will"].update(topic="spBv1.0/plant/NDEATH/x"), 1),
                         "message-flow-edge-node-birth-publish-will-message-topic"),
    "the will is no protobuf": (connect(lambda c: c["will"].update(payload=b"\xff")),
                                "message-flow-edge-node-birth-publish-will-message-payload"),
    "the will's qos": (connect(lambda c: c["will"].update(qos=0)), "payloads-ndeath-will-message-qos"),
    "the will is retained": (connect(lambda c: c["will"].update(retain=True)), "payloads-ndeath-will-message-retain"),
    "bdSeq stands still": (will(lambda p: p["metrics"][0].update(long_value=1)), "topics-nbirth-bdseq-increment"),
    "bdSeq of another type": (will(lambda p: p["metrics"][0].update(datatype=8)),
                              "message-flow-edge-node-birth-publish-will-message-payload-bdSeq"),
    "more in the will": (will(lambda p: p["metrics"].append({"name": "x"})), "topics-ndeath-payload"),
    "a seq in the will": (will(lambda p: p.update(seq=0)), "payloads-ndeath-seq"),
    "a disconnect without death": (drop(lambda r: "/NDEATH/" in r.get("topic", "")),
                                   "payloads-ndeath-will-message-publisher-disconnect-mqtt311"),
    "a normal disconnect of MQTT 5": (lambda records: [r.update(reason=0) for r in records if r["packet"] == "disconnect"],
                                      "payloads-ndeath-will-message-publisher-disconnect-mqtt50"),
    "two connections at once": (drop(is_packet("close")),
                                "operational-behavior-primary-application-state-with-multiple-servers-single-server"),
    "no NCMD subscription": (drop(lambda r: r["packet"] == "subscribe" and "NCMD" in r["filters"][0][0]),
                             "message-flow-edge-node-ncmd-subscribe"),
    "DCMD with QoS 0": (lambda records: [r.update(filters=[(r["filters"][0][0], 0)]) for r in records
                                         if r["packet"] == "subscribe"], "message-flow-device-dcmd-subscribe"),
    "no STATE subscription": (drop(lambda r: r["packet"] == "subscribe" and "STATE" in r["filters"][0][0]),
                              "operational-behavior-primary-application-state-with-multiple-servers-state-subs"),
    "born before the host": (move("NBIRTH", is_packet("subscribe")),
                             "message-flow-edge-node-birth-publish-phid-wait"),
    "born for another host": (lambda records: [r.update(topic="spBv1.0/STATE/other") for r in records
                                               if "STATE" in r.get("topic", "")],
                              "message-flow-edge-node-birth-publish-phid-wait-id"),
    "stays without the host": (both(drop(lambda r: "/NDEATH/" in r.get("topic", "")),
                                    drop(is_packet("disconnect")), drop(is_packet("close"))),
                               "message-flow-edge-node-birth-publish-phid-offline"),
    "does not come back": (drop(lambda r: r["connection"] == 2),
                           "operational-behavior-edge-node-termination-host-offline-reconnect"),
    "leaves for an old STATE": (lambda records: leave_early(records),
                                "operational-behavior-edge-node-termination-host-offline-timestamp"),
    "data first": (move("DDATA", lambda r: "/NBIRTH/" in r.get("topic", "")), "principles-birth-certificates-order"),
    "birth before CONNACK": (move("NBIRTH", is_packet("connack", "server")),
                             "message-flow-edge-node-birth-publish-connect"),
    "a device before its node": (move("DBIRTH", lambda r: "/NBIRTH/" in r.get("topic", "")),
                                 "message-flow-device-birth-publish-nbirth-wait"),
    "qos of NBIRTH": (field("NBIRTH", qos=1), "payloads-nbirth-qos"),
    "retained NBIRTH": (field("NBIRTH", retain=True), "payloads-nbirth-retain"),
    "qos of DBIRTH": (field("DBIRTH", qos=1), "payloads-dbirth-qos"),
    "retained DBIRTH": (field("DBIRTH", retain=True), "payloads-dbirth-retain"),
    "qos of NDATA": (with_ndata(qos=1), "payloads-ndata-qos"),
    "retained NDATA": (with_ndata(retain=True), "payloads-ndata-retain"),
    "qos of DDATA": (field("DDATA", qos=1), "payloads-ddata-qos"),
    "retained DDATA": (field("DDATA", retain=True), "payloads-ddata-retain"),
    "qos of DDEATH": (field("DDEATH", qos=1), "topics-ddeath-mqtt"),
    "NBIRTH is no protobuf": (field("NBIRTH", payload=b"{}"), "message-flow-edge-node-birth-publish-nbirth-payload"),
    "DBIRTH is no protobuf": (field("DBIRTH", payload=b"{}"), "message-flow-device-birth-publish-dbirth-payload"),
    "NBIRTH without time": (payload("NBIRTH", lambda p: p.pop("timestamp")), "payloads-nbirth-timestamp"),
    "DBIRTH without time": (payload("DBIRTH", lambda p: p.pop("timestamp")), "payloads-dbirth-timestamp"),
    "NDATA without time": (with_ndata(payload={"timestamp": None}), "payloads-ndata-timestamp"),
    "DDATA without time": (payload("DDATA", lambda p: p.pop("timestamp")), "payloads-ddata-timestamp"),
    "DDEATH without time": (payload("DDEATH", lambda p: p.pop("timestamp")), "payloads-ddeath-timestamp"),
    "local time": (payload("DDATA", lambda p: p.update(timestamp=edge.NOW + 3_600_000)), "payloads-timestamp-in-UTC"),
    "a metric of tomorrow": (metric("DDATA", lambda m: m.update(timestamp=edge.NOW + 86_400_000), 0, 1),
                             "payloads-metric-timestamp-in-UTC"),
    "a birth with seq 1": (payload("NBIRTH", lambda p: p.update(seq=1)), "topics-nbirth-seq-num"),
    "a birth with seq 256": (payload("NBIRTH", lambda p: p.update(seq=256)), "payloads-sequence-num-req-nbirth"),
    "data without seq": (payload("DDATA", lambda p: p.pop("seq")), "payloads-sequence-num-always-included"),
    "seq left out": (drop(lambda r: "/DDATA/" in r.get("topic", "")), "payloads-sequence-num-incrementing"),
    "bdSeq of the birth": (metric("NBIRTH", lambda m: m.update(long_value=7)), "topics-nbirth-bdseq-matching"),
    "bdSeq of the second birth": (metric("NBIRTH", lambda m: m.update(long_value=7), 1),
                                  "operational-behavior-data-commands-rebirth-action-3"),
    "no bdSeq": (payload("NBIRTH", lambda p: p["metrics"].pop(0)), "topics-nbirth-bdseq-included"),
    "no rebirth metric": (payload("NBIRTH", lambda p: p["metrics"].pop(1)),
                          "operational-behavior-data-commands-rebirth-name"),
    "rebirth as a number": (metric("NBIRTH", lambda m: m.update(datatype=3), 0, 1),
                            "operational-behavior-data-commands-rebirth-datatype"),
    "rebirth is true": (metric("NBIRTH", lambda m: m.update(boolean_value=1), 0, 1),
                        "operational-behavior-data-commands-rebirth-value"),
    "rebirth with an alias": (metric("NBIRTH", lambda m: m.update(alias=99), 0, 1),
                              "operational-behavior-data-commands-rebirth-name-aliases"),
    "no value in NBIRTH": (metric("NBIRTH", lambda m: m.pop("long_value")), "topics-nbirth-metrics"),
    "no value in DBIRTH": (metric("DBIRTH", lambda m: m.pop("double_value")), "topics-dbirth-metrics"),
    "null with a value": (metric("DBIRTH", lambda m: m.update(is_null=1)),
                          "operational-behavior-data-publish-dbirth-values"),
    "a tag is missing": (payload("DBIRTH", lambda p: p["metrics"].pop()), "topics-dbirth-metric-reqs"),
    "node data of nothing": (with_ndata(payload={"metrics": [{"alias": 77, "timestamp": edge.NOW, "long_value": 1}]}),
                             "topics-nbirth-metric-reqs"),
    "data before all births": (move("DDATA", lambda r: "/DBIRTH/edge/oven" in r.get("topic", "")),
                               "payloads-dbirth-order"),
    "data of an unborn device": (drop(lambda r: "/DBIRTH/edge/press" in r.get("topic", "")), "payloads-ddata-order"),
    "empty node data": (with_ndata(payload={"metrics": []}), "payloads-ndata-order"),
    "a death of the unborn": (drop(lambda r: "/DBIRTH/edge/oven" in r.get("topic", "")), "payloads-ddeath-seq"),
    "no alias in a birth": (metric("DBIRTH", lambda m: m.pop("alias")), "payloads-alias-birth-requirement"),
    "an alias twice": (metric("DBIRTH", lambda m: m.update(alias=3)), "payloads-alias-uniqueness"),
    "a name in data": (metric("DDATA", lambda m: m.update(name="count")), "payloads-alias-data-cmd-requirement"),
    "no time of a metric": (metric("DDATA", lambda m: m.pop("timestamp")), "payloads-name-birth-data-requirement"),
    "no type in a birth": (metric("DBIRTH", lambda m: m.pop("datatype")), "payloads-metric-datatype-req"),
    "a type in data": (metric("DDATA", lambda m: m.update(datatype=10)), "payloads-metric-datatype-not-req"),
    "an unknown type": (metric("DBIRTH", lambda m: m.update(datatype=50)), "payloads-metric-datatype-value"),
    "a value of another type": (metric("DBIRTH", lambda m: m.update(datatype=12)),
                                "payloads-metric-datatype-value-type"),
    "a key too much": (metric("DBIRTH", lambda m: m["properties"]["keys"].append("x")),
                       "payloads-propertyset-keys-array-size"),
    "a property without type": (metric("DBIRTH", lambda m: m["properties"]["values"][0].pop("type")),
                                "payloads-metric-propertyvalue-type-req"),
    "a quality of 7": (metric("DBIRTH", quality(int_value=7)), "payloads-propertyset-quality-value-value"),
    "a quality as UInt32": (metric("DBIRTH", quality(type=7)), "payloads-propertyset-quality-value-type"),
    "data against time": (payload("DDATA", lambda p: p["metrics"].reverse()),
                          "operational-behavior-data-publish-dbirth-order"),
    "a birth against time": (metric("NBIRTH", lambda m: m.update(timestamp=edge.NOW + 9)),
                             "operational-behavior-data-publish-nbirth-order"),
    "the same again": (again("DDATA"), "principles-rbe-recommended"),
    "node data, the same again": (with_ndata(payload={"metrics": [{"alias": 1, "timestamp": edge.NOW, "long_value": 0}]}),
                                  "operational-behavior-data-publish-nbirth-change"),
    "data before the rebirth": (
        both(late("DDATA", 1, 3), move("DDATA", lambda r: r["t"] > 0 and "NCMD" in r.get("topic", "") , 3),
             lambda records: swap_with_next(records, "NCMD")),
        "operational-behavior-data-commands-rebirth-action-1"),
    "no rebirth": (both(lambda records: [records.remove(r) for r in publishes(records, "NBIRTH")[1:]],
                        late("DDATA", 20, 3)), "operational-behavior-data-commands-rebirth-action-2"),
    "a template": (metric("DBIRTH", template), "payloads-template-definition-nbirth-only"),
    "a lost device lives on": (
        both(late("DDEATH", 3), payload("DDEATH", lambda p: p.update(metrics=[HEAT])),
             field("DDEATH", topic="spBv1.0/plant/DDATA/edge/oven")), "operational-behavior-device-ddeath"),
}


def leave_early(records):
    """Takes the one old STATE for the end of the host."""
    old, new = [r for r in records if "STATE" in r.get("topic", "") and r["connection"] == 1][1:]
    data = publishes(records, "DDATA")[-1]
    for record in records[records.index(data) :]:
        record["t"] -= 2
    records.remove(data)
    records.remove(new)


def swap_with_next(records, topic):
    at = next(i for i, r in enumerate(records) if topic in r.get("topic", ""))
    records[at - 1], records[at] = records[at], records[at - 1]


def test_a_right_session_breaks_nothing():
    assert judged(edge.tape()) == {}


def test_every_rule_finds_what_breaks_it():
    complained = set()
    for name, (change, assertion) in MUTATIONS.items():
        records = copy.deepcopy(edge.tape())
        change(records)
        found = judged(records)
        assert assertion in found, f"{name}: {assertion} did not complain; {sorted(found)} did"
        complained |= set(found)
    assert set(checker.RULES) == complained, sorted(set(checker.RULES) - complained)


def test_every_assertion_stands_in_the_document():
    names = (pathlib.Path(checker.__file__).parent / "assertions.txt").read_text().split()
    unseen = {name for names in checker.UNSEEN.values() for name in names}
    assert len(names) == len(set(names)) == 207
    assert set(checker.RULES) | unseen == set(names) and not set(checker.RULES) & unseen
    assert checker.table() in (ROOT / "docs/sparkplug.md").read_text()
