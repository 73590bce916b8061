"""Judges a recorded MQTT session of an edge node by the assertions of Sparkplug 3.0.

Works on the records of `proxy.py` and on nothing else; payloads are read by `protobuf.py`. Every rule names the
assertions that it judges and yields what breaks them. What can't be seen on the wire stands in UNSEEN with the reason.
"""

import dataclasses
import json
import re

import protobuf

NAMESPACE = "spBv1.0"
NODE_TYPES, DEVICE_TYPES = {"NBIRTH", "NDEATH", "NDATA"}, {"DBIRTH", "DDEATH", "DDATA"}
BASIC = set(range(1, 16))
METRIC_TYPES = BASIC | {16, 17, 18, 19} | set(range(22, 35))
PROPERTY_TYPES = BASIC | {20, 21}
FIELDS = {  # data type -> the field its values lie in
    **dict.fromkeys((1, 2, 3, 5, 6, 7), "int_value"), **dict.fromkeys((4, 8, 13), "long_value"),
    9: "float_value", 10: "double_value", 11: "boolean_value", **dict.fromkeys((12, 14, 15), "string_value"),
    **dict.fromkeys((17, 18, *range(22, 35)), "bytes_value"), 16: "dataset_value", 19: "template_value",
}
CLOCK_MS = 10_000  # what the clocks of node and recorder may differ by, and the way between them take
RULES = {}  # assertion -> rules


def rule(*assertions):
    def keep(function):
        for assertion in assertions:
            RULES.setdefault(assertion, []).append(function)
        return function

    return keep


@dataclasses.dataclass
class Message:
    """A publish of the node."""

    session: "Session"
    record: dict
    levels: list
    payload: dict = None
    error: str = None

    @property
    def type(self):
        return self.levels[2] if len(self.levels) > 2 else None

    @property
    def device(self):
        return self.levels[4] if len(self.levels) > 4 else None

    @property
    def metrics(self):
        return (self.payload or {}).get("metrics", [])

    def named(self, name):
        return [m for m in self.metrics if m.get("name") == name]

    def __str__(self):
        return f"#{self.session.number} {self.record['topic']} seq {(self.payload or {}).get('seq')}"


class Session:
    """One connection: what the client sent and received, in order."""

    def __init__(self, number, records):
        self.number, self.records = number, records
        connects = [r for r in records if r["packet"] == "connect" and r["from"] == "client"]
        self.connect = connects[0] if connects else None
        self.messages, self.items = [], []
        for record in records:
            if record["from"] == "client" and record["packet"] == "publish":
                message = Message(self, record, record["topic"].split("/"))
                try:
                    message.payload = protobuf.read(record["payload"])
                except ValueError as error:
                    message.error = str(error)
                self.messages.append(message)
                self.items.append(message)
            else:
                self.items.append(record)
        self.will = None
        if self.connect and "will" in self.connect:
            try:
                self.will = protobuf.read(self.connect["will"]["payload"])
            except ValueError:
                self.will = None

    def of(self, *types):
        return [m for m in self.messages if m.type in types]

    def client(self, packet):
        return [r for r in self.records if r["from"] == "client" and r["packet"] == packet]

    def host_states(self, host):
        """STATE messages that came, as (index in items, topic, state)."""
        for index, item in enumerate(self.items):
            if isinstance(item, dict) and item["packet"] == "publish" and item["from"] == "server":
                levels = item["topic"].split("/")
                if levels[:2] == [NAMESPACE, "STATE"] and levels[2:] == [host]:
                    try:
                        yield index, item, json.loads(item["payload"])
                    except ValueError:
                        continue

    @property
    def bd_seq(self):
        return bd_seq(self.will)


def bd_seq(payload):
    numbers = [m for m in (payload or {}).get("metrics", []) if m.get("name") == "bdSeq"]
    return protobuf.value_of(numbers[0])[1] if len(numbers) == 1 else None


class Recording:
    """All connections of one node. `host`: its primary host. `devices`: which devices it has and their metrics.
    `writable`: devices that take commands. `late_ms`: how late packets may have come to the recorder."""

    def __init__(self, records, host=None, devices=None, writable=(), late_ms=CLOCK_MS):
        numbers = list(dict.fromkeys(r["connection"] for r in records if r["packet"] == "connect"))
        self.sessions = [Session(n, [r for r in records if r["connection"] == n]) for n in numbers]
        self.host, self.devices, self.writable, self.late_ms = host, devices or {}, writable, late_ms
        topic = next((s.connect["will"]["topic"] for s in self.sessions if "will" in s.connect), "///")
        levels = topic.split("/") + [""] * 4
        self.group, self.node = levels[1], levels[3]

    @property
    def messages(self):
        return [m for s in self.sessions for m in s.messages]

    def topic(self, kind, device=None):
        return "/".join([NAMESPACE, self.group, kind, self.node] + ([device] if device else []))


def judge(recording):
    """{assertion: [what breaks it]} for the assertions that are broken."""
    found = {}
    cache = {}
    for assertion, rules in RULES.items():
        for function in rules:
            if function not in cache:
                cache[function] = [str(problem) for problem in function(recording)]
            if cache[function]:
                found.setdefault(assertion, []).extend(cache[function])
    return found


# --- names and topics


def valid_id(text):
    return bool(text) and not re.search(r"[+/#\x00]", text)


@rule("intro-group-id-string", "intro-group-id-chars", "topic-structure-namespace-valid-group-id")
def group_id(recording):
    if not valid_id(recording.group):
        yield f"group {recording.group!r}"
    yield from (f"{m}: another group" for m in recording.messages if m.levels[1:2] != [recording.group])


@rule("intro-edge-node-id-string", "intro-edge-node-id-chars", "topic-structure-namespace-valid-edge-node-id")
def edge_node_id(recording):
    if not valid_id(recording.node):
        yield f"node {recording.node!r}"
    yield from (f"{m}: another node" for m in recording.messages if m.levels[3:4] != [recording.node])


@rule("intro-device-id-string", "intro-device-id-chars", "topic-structure-namespace-valid-device-id")
def device_id(recording):
    for message in recording.messages:
        if message.type in DEVICE_TYPES and not valid_id(message.device):
            yield message


@rule("topic-structure", "topic-structure-namespace-device-id-associated-message-types",
      "topic-structure-namespace-device-id-non-associated-message-types")
def structure(recording):
    for message in recording.messages:
        length = {True: 4, False: 5}.get(message.type in NODE_TYPES)
        if message.type not in NODE_TYPES | DEVICE_TYPES or len(message.levels) != length:
            yield message


@rule("topic-structure-namespace-a")
def namespace(recording):
    yield from (m for m in recording.messages if m.levels[0] != NAMESPACE)


def topics(kind):
    def check(recording):
        for m in recording.messages:
            if m.type == kind and m.record["topic"] != recording.topic(kind, m.device if kind[0] == "D" else None):
                yield m

    return check


for _kind, _more in {
    "NBIRTH": ["message-flow-edge-node-birth-publish-nbirth-topic"], "NDATA": [], "NDEATH": [],
    "DBIRTH": ["message-flow-device-birth-publish-dbirth-topic",
               "message-flow-device-birth-publish-dbirth-match-edge-node-topic"],
    "DDATA": [], "DDEATH": [],
}.items():
    rule(f"topics-{_kind.lower()}-topic", *_more)(topics(_kind))


@rule("topic-structure-namespace-unique-device-id")
def one_birth_per_device(recording):
    """Two devices of one name would be born twice in one birth sequence."""
    for session in recording.sessions:
        born = set()
        for message in session.messages:
            if message.type == "NBIRTH":
                born.clear()
            elif message.type == "DBIRTH":
                if message.device in born:
                    yield message
                born.add(message.device)
            elif message.type == "DDEATH":
                born.discard(message.device)


@rule("case-sensitivity-sparkplug-ids")
def ids_by_case(recording):
    names = {m.device for m in recording.messages if m.device} | {recording.group + "\0", recording.node + "\1"}
    if len({n.lower() for n in names}) < len(names):
        yield sorted(names)


@rule("case-sensitivity-metric-names")
def names_by_case(recording):
    for message in recording.messages:
        names = [m["name"] for m in message.metrics if "name" in m]
        if len({n.lower() for n in names}) < len(set(names)):
            yield message


# --- the connection and its will


@rule("principles-persistence-clean-session-311")
def clean_session(recording):
    yield from (s.number for s in recording.sessions if s.connect["version"] == 4 and not s.connect["clean"])


@rule("principles-persistence-clean-session-50")
def clean_start(recording):
    for s in recording.sessions:
        if s.connect["version"] == 5 and not (s.connect["clean"] and s.connect["properties"].get(0x11, 0) == 0):
            yield s.number


@rule("message-flow-edge-node-birth-publish-will-message", "payloads-ndeath-will-message")
def has_will(recording):
    yield from (s.number for s in recording.sessions if "will" not in s.connect)


@rule("message-flow-edge-node-birth-publish-will-message-topic", "topics-ndeath-topic")
def will_topic(recording):
    for s in recording.sessions:
        if s.connect.get("will", {}).get("topic") != recording.topic("NDEATH"):
            yield s.number


@rule("message-flow-edge-node-birth-publish-will-message-payload")
def will_payload(recording):
    yield from (s.number for s in recording.sessions if s.will is None)


@rule("message-flow-edge-node-birth-publish-will-message-qos", "payloads-ndeath-will-message-qos")
def will_qos(recording):
    yield from (s.number for s in recording.sessions if s.connect.get("will", {}).get("qos") != 1)


@rule("message-flow-edge-node-birth-publish-will-message-will-retained", "payloads-ndeath-will-message-retain")
def will_retain(recording):
    yield from (s.number for s in recording.sessions if s.connect.get("will", {}).get("retain") is not False)


@rule("message-flow-edge-node-birth-publish-will-message-payload-bdSeq", "topics-nbirth-bdseq-increment")
def bd_seq_grows(recording):
    last = None
    for session in recording.sessions:
        numbers = [m for m in (session.will or {}).get("metrics", []) if m.get("name") == "bdSeq"]
        if len(numbers) != 1 or numbers[0].get("datatype") != 4 or "long_value" not in numbers[0]:
            yield f"#{session.number}: {numbers}"
            continue
        number = session.bd_seq
        if not 0 <= number <= 255 or (last is not None and number != (last + 1) % 256):
            yield f"#{session.number}: bdSeq {number} after {last}"
        last = number


@rule("topics-ndeath-payload", "payloads-ndeath-bdseq")
def deaths_hold_bd_seq_only(recording):
    deaths = [(f"#{s.number} will", s, s.will) for s in recording.sessions]
    deaths += [(str(m), m.session, m.payload) for m in recording.messages if m.type == "NDEATH"]
    for what, session, payload in deaths:
        metrics = (payload or {}).get("metrics", [])
        births = [bd_seq(b.payload) for b in session.of("NBIRTH")]
        if len(metrics) != 1 or metrics[0].get("name") != "bdSeq":
            yield what
        elif bd_seq(payload) != session.bd_seq or any(b != bd_seq(payload) for b in births):
            yield f"{what}: bdSeq {bd_seq(payload)}, births {births}"


@rule("topics-ndeath-seq", "payloads-ndeath-seq")
def deaths_have_no_seq(recording):
    yield from (s.number for s in recording.sessions if "seq" in (s.will or {}))
    yield from (m for m in recording.messages if m.type == "NDEATH" and "seq" in (m.payload or {}))


@rule("operational-behavior-edge-node-intentional-disconnect-ndeath", "payloads-ndeath-will-message-publisher",
      "payloads-ndeath-will-message-publisher-disconnect-mqtt311",
      "operational-behavior-edge-node-intentional-disconnect-packet")
def death_before_disconnect(recording):
    for session in recording.sessions:
        sent = [i for i in session.items if isinstance(i, Message) or i["from"] == "client"]
        for at, item in enumerate(sent):
            if isinstance(item, Message) or item["packet"] != "disconnect":
                continue
            messages = [i for i in sent[:at] if isinstance(i, Message)]
            if not messages or messages[-1].type != "NDEATH":
                yield f"#{session.number}: DISCONNECT without NDEATH"


@rule("payloads-ndeath-will-message-publisher-disconnect-mqtt50")
def disconnect_with_will(recording):
    for session in recording.sessions:
        if session.connect["version"] == 5:
            yield from (f"#{session.number}: reason {r['reason']}" for r in session.client("disconnect") if r["reason"] != 4)


@rule("operational-behavior-primary-application-state-with-multiple-servers-single-server")
def one_connection_at_a_time(recording):
    ends = {}
    for session in recording.sessions:
        closes = [r["t"] for r in session.records if r["packet"] == "close"]
        ends[session.number] = min(closes, default=None)
    for before, after in zip(recording.sessions, recording.sessions[1:]):
        end = ends[before.number]
        if end is None or end > after.connect["t"] + 0.5:  # the recorder's threads see the two in any order
            yield f"#{after.number} began before #{before.number} had ended"


# --- subscriptions


def subscribed(session, before):
    filters = {}
    for item in session.items[:before]:
        if isinstance(item, dict) and item["from"] == "client" and item["packet"] == "subscribe":
            filters |= dict(item["filters"])
    return filters


def first_birth(session):
    return next((i for i, m in enumerate(session.items) if isinstance(m, Message)), None)


@rule("message-flow-edge-node-ncmd-subscribe")
def subscribes_ncmd(recording):
    for session in recording.sessions:
        at = first_birth(session)
        if at is not None and subscribed(session, at).get(recording.topic("NCMD")) != 1:
            yield session.number


@rule("message-flow-device-dcmd-subscribe")
def subscribes_dcmd(recording):
    for session in recording.sessions:
        at = first_birth(session)
        for device in recording.writable if at is not None else ():
            if subscribed(session, at).get(recording.topic("DCMD", device)) != 1:
                yield f"#{session.number}: {device}"


@rule("operational-behavior-primary-application-state-with-multiple-servers-state-subs")
def subscribes_state(recording):
    for session in recording.sessions if recording.host else ():
        at = first_birth(session)
        if at is not None and f"{NAMESPACE}/STATE/{recording.host}" not in subscribed(session, at):
            yield session.number


# --- the primary host


def host_walk(session, host):
    """(item, is online, times) for every item: what the node has to believe when the item comes."""
    last = online_at = None
    online = False
    states = {index: (item, state) for index, item, state in session.host_states(host)}
    for index, item in enumerate(session.items):
        if index in states:
            state = states[index][1]
            now = state["timestamp"]
            if state["online"] and (last is None or now >= last):
                online, online_at = True, now
            elif not state["online"] and (online_at is None or now >= online_at):
                if online:
                    yield item, "left"
                online = False
            elif not state["online"]:
                yield item, "stale"
            last = max(now, last or 0)
        yield item, online


@rule("message-flow-edge-node-birth-publish-phid-wait", "message-flow-edge-node-birth-publish-phid-wait-id",
      "message-flow-edge-node-birth-publish-phid-wait-online", "message-flow-edge-node-birth-publish-phid-wait-timestamp",
      "operational-behavior-edge-node-birth-sequence-wait")
def waits_for_host(recording):
    for session in recording.sessions if recording.host else ():
        heard = False  # after it was online once, `leaves_with_host` judges: data may be on its way
        for item, online in host_walk(session, recording.host):
            heard = heard or online is True
            if isinstance(item, Message) and item.type != "NDEATH" and not heard:
                yield item


@rule("message-flow-edge-node-birth-publish-phid-offline", "operational-behavior-edge-node-termination-host-offline",
      "operational-behavior-primary-application-state-with-multiple-servers-walk")
def leaves_with_host(recording):
    for session in recording.sessions if recording.host else ():
        walk = list(host_walk(session, recording.host))
        for at, (item, news) in enumerate(walk):
            if news != "left" or not any(isinstance(i, Message) for i, _ in walk[:at]):
                continue
            after = [i for i, _ in walk[at + 1 :] if isinstance(i, Message)]
            late = [m for m in after if m.type != "NDEATH" and m.record["t"] > item["t"] + 1]
            ended = [r for r in session.records if r["packet"] in ("disconnect", "close") and r["from"] == "client"]
            if not any(m.type == "NDEATH" for m in after) or late or not ended:
                yield f"#{session.number}: {[str(m) for m in after[:3]]}"
            break


@rule("operational-behavior-edge-node-termination-host-offline-reconnect")
def comes_back_after_host(recording):
    for session in recording.sessions if recording.host else ():
        left = any(news == "left" for _, news in host_walk(session, recording.host))
        if left and session is recording.sessions[-1]:
            yield f"#{session.number} was the last"


@rule("operational-behavior-edge-node-termination-host-offline-timestamp")
def ignores_old_deaths(recording):
    for session in recording.sessions if recording.host else ():
        for item, news in host_walk(session, recording.host):
            if news != "stale":
                continue
            after = [m for m in session.messages if m.record["t"] > item["t"]]
            if after and after[0].type == "NDEATH" and after[0].record["t"] < item["t"] + 1:
                yield f"#{session.number}: left for an old STATE"


# --- births


@rule("principles-birth-certificates-order", "message-flow-edge-node-birth-publish-connect")
def birth_first(recording):
    for session in recording.sessions:
        if session.messages and session.messages[0].type != "NBIRTH":
            yield session.messages[0]
        acked = next((i for i, r in enumerate(session.items) if isinstance(r, dict) and r["packet"] == "connack"), None)
        first = first_birth(session)
        if first is not None and (acked is None or acked > first):
            yield f"#{session.number}: published before CONNACK"


@rule("message-flow-device-birth-publish-nbirth-wait")
def node_before_device(recording):
    for session in recording.sessions:
        born = False
        for message in session.messages:
            born = born or message.type == "NBIRTH"
            if message.type == "DBIRTH" and not born:
                yield message


def qos_and_retain(kinds, what):
    def check(recording):
        for m in recording.messages:
            if m.type in kinds and m.record["qos" if what == "qos" else "retain"] not in (0, False):
                yield m

    return check


for _kind in ("NBIRTH", "DBIRTH", "NDATA", "DDATA", "DDEATH"):
    _low = _kind.lower()
    _flow = {"NBIRTH": "message-flow-edge-node-birth-publish-nbirth",
             "DBIRTH": "message-flow-device-birth-publish-dbirth"}.get(_kind)
    for _what, _word in (("qos", "qos"), ("retain", "retained")):
        _ids = [f"topics-{_low}-mqtt"]
        _ids += [f"payloads-{_low}-{_what}"] if _kind != "DDEATH" else []
        _ids += [f"{_flow}-{_word}"] if _flow else []
        rule(*_ids)(qos_and_retain({_kind}, _what))


def is_protobuf(kinds):
    def check(recording):
        yield from (f"{m}: {m.error}" for m in recording.messages if m.type in kinds and m.error)

    return check


rule("message-flow-edge-node-birth-publish-nbirth-payload")(is_protobuf({"NBIRTH"}))
rule("message-flow-device-birth-publish-dbirth-payload")(is_protobuf({"DBIRTH"}))


def has_timestamp(kind):
    def check(recording):
        yield from (m for m in recording.messages if m.type == kind and "timestamp" not in (m.payload or {}))

    return check


for _kind in ("NBIRTH", "NDATA", "DBIRTH", "DDATA", "DDEATH"):
    _ids = [f"payloads-{_kind.lower()}-timestamp"]
    _ids += [f"topics-{_kind.lower()}-timestamp"] if _kind != "DDEATH" else []
    rule(*_ids)(has_timestamp(_kind))


@rule("payloads-timestamp-in-UTC")
def sent_now(recording):
    for m in recording.messages:
        stamp = (m.payload or {}).get("timestamp")
        if stamp is not None and "wall" in m.record and abs(stamp - m.record["wall"]) > recording.late_ms:
            yield f"{m}: {stamp} at {m.record['wall']}"


@rule("payloads-metric-timestamp-in-UTC")
def read_before(recording):
    for m in recording.messages:
        for metric in m.metrics:
            stamp, sent = metric.get("timestamp"), (m.payload or {}).get("timestamp")
            if stamp is not None and sent is not None and not 1_600_000_000_000 < stamp <= sent + CLOCK_MS:
                yield f"{m}: {stamp}"


@rule("topics-nbirth-seq-num")
def birth_seq_is_zero(recording):
    yield from (m for m in recording.messages if m.type == "NBIRTH" and (m.payload or {}).get("seq") != 0)


@rule("payloads-nbirth-seq", "payloads-sequence-num-req-nbirth",
      "message-flow-edge-node-birth-publish-nbirth-payload-seq")
def birth_seq_range(recording):
    for m in recording.messages:
        if m.type == "NBIRTH" and not 0 <= (m.payload or {}).get("seq", -1) <= 255:
            yield m


@rule("payloads-sequence-num-always-included", "payloads-dbirth-seq", "payloads-ndata-seq", "payloads-ddata-seq",
      "payloads-ddeath-seq", "payloads-ddeath-seq-number")
def has_seq(recording):
    yield from (m for m in recording.messages if m.type != "NDEATH" and "seq" not in (m.payload or {}))


@rule("payloads-sequence-num-incrementing", "topics-ndata-seq-num", "topics-dbirth-seq", "topics-ddata-seq-num",
      "topics-ddeath-seq-num", "payloads-dbirth-seq-inc", "payloads-ndata-seq-inc", "payloads-ddata-seq-inc",
      "payloads-ddeath-seq-inc", "message-flow-device-birth-publish-dbirth-payload-seq")
def seq_grows(recording):
    for session in recording.sessions:
        last = None
        for m in session.messages:
            seq = (m.payload or {}).get("seq")
            if m.type == "NDEATH":
                continue
            if m.type != "NBIRTH" and (seq is None or last is None or seq != (last + 1) % 256):
                yield f"{m} after {last}"
            last = seq


@rule("topics-nbirth-bdseq-included", "payloads-nbirth-bdseq", "topics-nbirth-bdseq-matching",
      "payloads-nbirth-bdseq-repeat", "message-flow-edge-node-birth-publish-nbirth-payload-bdSeq",
      "operational-behavior-data-commands-rebirth-action-3")
def birth_bd_seq(recording):
    for m in recording.messages:
        if m.type == "NBIRTH":
            numbers = m.named("bdSeq")
            if len(numbers) != 1 or numbers[0].get("datatype") != 4 or bd_seq(m.payload) != m.session.bd_seq:
                yield f"{m}: {numbers}, the will has {m.session.bd_seq}"


def rebirth_metric(check):
    def judge_births(recording):
        for m in recording.messages:
            if m.type == "NBIRTH":
                found = m.named("Node Control/Rebirth")
                if len(found) != 1 or not check(found[0]):
                    yield f"{m}: {found}"

    return judge_births


rule("topics-nbirth-rebirth-metric", "payloads-nbirth-rebirth-req",
     "operational-behavior-data-commands-rebirth-name")(rebirth_metric(lambda m: True))
rule("topics-nbirth-rebirth-metric", "operational-behavior-data-commands-rebirth-datatype")(
    rebirth_metric(lambda m: m.get("datatype") == 11))
rule("topics-nbirth-rebirth-metric", "payloads-nbirth-rebirth-req",
     "operational-behavior-data-commands-rebirth-value")(rebirth_metric(lambda m: m.get("boolean_value") == 0))
rule("operational-behavior-data-commands-rebirth-name-aliases")(rebirth_metric(lambda m: "alias" not in m))


def birth_metrics(kinds):
    def check(recording):
        for m in recording.messages:
            for metric in m.metrics if m.type in kinds else ():
                field, _ = protobuf.value_of(metric)
                null = metric.get("is_null", 0)
                if not metric.get("name") or "datatype" not in metric or bool(null) == (field is not None):
                    yield f"{m}: {metric}"

    return check


rule("topics-nbirth-metrics", "operational-behavior-data-publish-nbirth-values")(birth_metrics({"NBIRTH"}))
rule("topics-dbirth-metrics", "operational-behavior-data-publish-dbirth-values")(birth_metrics({"DBIRTH"}))


@rule("topics-dbirth-metric-reqs", "operational-behavior-data-publish-dbirth")
def births_hold_everything(recording):
    for m in recording.messages:
        if m.type == "DBIRTH":
            missing = set(recording.devices.get(m.device, ())) - {metric.get("name") for metric in m.metrics}
            if missing:
                yield f"{m}: without {sorted(missing)}"
    yield from data_is_announced(recording, {"DDATA"})


@rule("topics-nbirth-metric-reqs", "operational-behavior-data-publish-nbirth")
def node_births_hold_everything(recording):
    yield from data_is_announced(recording, {"NDATA"})


def data_is_announced(recording, kinds):
    for session in recording.sessions:
        known = {}
        for m in session.messages:
            if m.type in ("NBIRTH", "DBIRTH"):
                known[m.device] = {metric.get("alias") for metric in m.metrics}
            elif m.type in kinds:
                strange = [x for x in m.metrics if x.get("alias") not in known.get(m.device, ())]
                if strange:
                    yield f"{m}: {strange[0]} is in no birth"


@rule("payloads-dbirth-order")
def device_births_follow(recording):
    """The births of a sequence come together; a device is only born later after its death."""
    for session in recording.sessions:
        open_, dead = False, set()
        for m in session.messages:
            if m.type == "NBIRTH":
                open_, dead = True, set()
            elif m.type in ("NDATA", "DDATA"):
                open_ = False
            elif m.type == "DDEATH":
                dead.add(m.device)
            elif m.type == "DBIRTH":
                if not open_ and m.device not in dead:
                    yield m
                dead.discard(m.device)


@rule("payloads-ndata-order", "payloads-ddata-order", "topics-ddata-payload", "topics-ndata-payload")
def data_inside_births(recording):
    for session in recording.sessions:
        born = set()
        for m in session.messages:
            if m.type in ("NBIRTH", "NDEATH"):
                born = {None} if m.type == "NBIRTH" else set()
            elif m.type == "DBIRTH":
                born.add(m.device)
            elif m.type == "DDEATH":
                born.discard(m.device)
            elif m.type in ("NDATA", "DDATA") and (m.device not in born or not m.metrics):
                yield m


@rule("payloads-ddeath-seq")
def deaths_follow_births(recording):
    for session in recording.sessions:
        born = set()
        for m in session.messages:
            if m.type == "DBIRTH":
                born.add(m.device)
            elif m.type == "DDEATH":
                if m.device not in born:
                    yield m
                born.discard(m.device)


# --- metrics


@rule("payloads-name-requirement", "payloads-alias-birth-requirement")
def births_have_name_and_alias(recording):
    for m in recording.messages:
        if m.type in ("NBIRTH", "DBIRTH"):
            for metric in m.metrics:
                control = metric.get("name") == "Node Control/Rebirth"
                if not metric.get("name") or ("alias" not in metric and not control):
                    yield f"{m}: {metric}"


@rule("payloads-alias-uniqueness")
def aliases_are_unique(recording):
    for session in recording.sessions:
        owners = {}
        for m in session.messages:
            if m.type in ("NBIRTH", "DBIRTH"):
                for metric in m.metrics:
                    if "alias" in metric:
                        owner = (m.device, metric.get("name"))
                        if owners.setdefault(metric["alias"], owner) != owner:
                            yield f"{m}: alias {metric['alias']} is also {owners[metric['alias']]}"


@rule("payloads-alias-data-cmd-requirement")
def data_has_alias_only(recording):
    for m in recording.messages:
        if m.type in ("NDATA", "DDATA"):
            yield from (f"{m}: {x}" for x in m.metrics if "alias" not in x or "name" in x)


@rule("payloads-name-birth-data-requirement")
def metrics_have_timestamps(recording):
    for m in recording.messages:
        if m.type in ("NBIRTH", "DBIRTH", "NDATA", "DDATA"):
            yield from (f"{m}: {x}" for x in m.metrics if "timestamp" not in x)


@rule("payloads-metric-datatype-req")
def births_have_types(recording):
    for m in recording.messages:
        if m.type in ("NBIRTH", "DBIRTH"):
            yield from (f"{m}: {x}" for x in m.metrics if "datatype" not in x)


@rule("payloads-metric-datatype-not-req")
def data_has_no_types(recording):
    for m in recording.messages:
        if m.type in ("NDATA", "DDATA"):
            yield from (f"{m}: {x}" for x in m.metrics if "datatype" in x)


@rule("payloads-metric-datatype-value-type", "payloads-metric-datatype-value")
def types_are_known(recording):
    for session in recording.sessions:
        types = {}
        for m in session.messages:
            for metric in m.metrics:
                kind = metric.get("datatype")
                if kind is not None and (kind not in METRIC_TYPES or kind >= 1 << 32):
                    yield f"{m}: {metric}"
                if kind is not None and "alias" in metric:
                    types[metric["alias"]] = kind
                field, _ = protobuf.value_of(metric)
                kind = kind or types.get(metric.get("alias"))
                if field is not None and kind in FIELDS and FIELDS[kind] != field:
                    yield f"{m}: type {kind} in {field}"


def property_sets(recording):
    for m in recording.messages:
        for metric in m.metrics:
            if "properties" in metric:
                yield m, metric["properties"]


@rule("payloads-propertyset-keys-array-size", "payloads-propertyset-values-array-size")
def properties_pair_up(recording):
    for m, properties in property_sets(recording):
        if len(properties.get("keys", [])) != len(properties.get("values", [])):
            yield f"{m}: {properties}"


@rule("payloads-metric-propertyvalue-type-type", "payloads-metric-propertyvalue-type-value",
      "payloads-metric-propertyvalue-type-req")
def properties_have_types(recording):
    for m, properties in property_sets(recording):
        for value in properties.get("values", []):
            field = next((f for f in value if f.endswith("_value")), None)
            if value.get("type") not in PROPERTY_TYPES or (field and FIELDS.get(value["type"], field) != field):
                yield f"{m}: {value}"


@rule("payloads-propertyset-quality-value-type", "payloads-propertyset-quality-value-value")
def qualities(recording):
    for m, properties in property_sets(recording):
        for key, value in zip(properties.get("keys", []), properties.get("values", [])):
            if key == "Quality" and (value.get("type") != 3 or value.get("int_value") not in (0, 192, 500)):
                yield f"{m}: {value}"


def chronological(kinds):
    def check(recording):
        for m in recording.messages:
            if m.type in kinds:
                stamps = [x["timestamp"] for x in m.metrics if not x.get("is_historical") and "timestamp" in x]
                if stamps != sorted(stamps):
                    yield m
                live = [(x.get("alias", x.get("name")), x.get("timestamp")) for x in m.metrics]
                if len(set(live)) < len(live):
                    yield f"{m}: one metric twice at one time"

    return check


rule("operational-behavior-data-publish-nbirth-order")(chronological({"NBIRTH", "NDATA"}))
rule("operational-behavior-data-publish-dbirth-order")(chronological({"DBIRTH", "DDATA"}))


def by_exception(births, data):
    def check(recording):
        for session in recording.sessions:
            known = {}
            for m in session.messages:
                for metric in m.metrics if m.type in births | data else ():
                    if metric.get("is_historical") or "alias" not in metric:
                        continue
                    quality = [
                        v.get("int_value")
                        for k, v in zip(*(metric.get("properties", {}).get(x, []) for x in ("keys", "values")))
                        if k == "Quality"
                    ]
                    told = (protobuf.value_of(metric), quality[0] if quality else 192, reason(metric))
                    if m.type in data and known.get(metric["alias"]) == told:
                        yield f"{m}: alias {metric['alias']} says again {told}"
                    known[metric["alias"]] = told

    return check


def reason(metric):
    properties = metric.get("properties", {})
    pairs = zip(properties.get("keys", []), properties.get("values", []))
    return next((v.get("string_value") for k, v in pairs if k == "Reason"), None)


rule("operational-behavior-data-publish-nbirth-change")(by_exception({"NBIRTH"}, {"NDATA"}))
rule("principles-rbe-recommended", "operational-behavior-data-publish-dbirth-change")(
    by_exception({"DBIRTH"}, {"DDATA"}))


# --- rebirths


@rule("operational-behavior-data-commands-rebirth-action-1", "operational-behavior-data-commands-rebirth-action-2")
def rebirths(recording):
    for session in recording.sessions:
        wanted = None
        devices = {m.device for m in session.of("DBIRTH")}
        for at, item in enumerate(session.items):
            if isinstance(item, dict):
                if item["from"] == "server" and item["packet"] == "publish" and not item["retain"]:
                    if item["topic"] == recording.topic("NCMD") and asks_rebirth(item["payload"]):
                        wanted = wanted or item
                continue
            if wanted and item.type in ("NDATA", "DDATA") and item.record["t"] > wanted["t"] + 0.5:
                yield f"{item}: data before the births that were asked for"
            if wanted and item.type == "NBIRTH":
                wanted = None
                after = [m for m in session.items[at + 1 :] if isinstance(m, Message)]
                sequence = {m.device for m in after[: len(devices)] if m.type == "DBIRTH"}
                before_data = {m.device for m in after if m.type == "DDEATH"}
                if len(after) >= len(devices) and not devices <= sequence | before_data:
                    yield f"{item}: births of {sorted(devices - sequence)} are missing"
        if wanted and session.records[-1]["t"] > wanted["t"] + 8:
            yield f"#{session.number}: no births were sent"


def asks_rebirth(payload):
    try:
        metrics = protobuf.read(payload).get("metrics", [])
    except ValueError:
        return False
    return any(m.get("name") == "Node Control/Rebirth" and m.get("boolean_value") for m in metrics)


# --- datasets and templates: none are sent


@rule("topics-nbirth-templates", *(
    line for line in """
    payloads-dataset-column-size payloads-dataset-column-num-headers payloads-dataset-types-def
    payloads-dataset-types-num payloads-dataset-types-type payloads-dataset-types-value
    payloads-dataset-parameter-type-req payloads-template-dataset-value payloads-template-definition-nbirth-only
    payloads-template-definition-is-definition payloads-template-definition-ref payloads-template-definition-members
    payloads-template-definition-nbirth payloads-template-definition-parameters
    payloads-template-definition-parameters-default payloads-template-instance-is-definition
    payloads-template-instance-ref payloads-template-instance-members payloads-template-instance-members-birth
    payloads-template-instance-members-data payloads-template-instance-parameters payloads-template-version
    payloads-template-ref-definition payloads-template-ref-instance payloads-template-is-definition
    payloads-template-is-definition-definition payloads-template-is-definition-instance
    payloads-template-parameter-name-required payloads-template-parameter-name-type
    payloads-template-parameter-value-type payloads-template-parameter-type-value
    payloads-template-parameter-type-req payloads-template-parameter-value""".split()))
def no_datasets_and_templates(recording):
    for m in recording.messages:
        for metric in m.metrics:
            if "dataset_value" in metric or "template_value" in metric or metric.get("datatype") in (16, 19):
                yield f"{m}: {metric.get('name')}"


@rule("operational-behavior-device-ddeath")
def lost_devices_die(recording):
    """A device all of whose metrics are stale (500) has a death, unless the session ended at once."""
    for session in recording.sessions:
        stale, metrics = {}, {}
        for at, m in enumerate(session.messages):
            if m.type == "DBIRTH":
                metrics[m.device] = {x.get("alias") for x in m.metrics}
                stale[m.device] = {x.get("alias") for x in m.metrics if quality_of(x) == 500}
            elif m.type == "DDATA" and m.device in metrics:
                for x in m.metrics:
                    if not x.get("is_historical"):
                        (stale[m.device].add if quality_of(x) == 500 else stale[m.device].discard)(x.get("alias"))
                if metrics[m.device] <= stale[m.device]:
                    after = session.messages[at + 1 :]
                    fate = next((n for n in after if n.device == m.device or n.type in ("NDEATH", "NBIRTH")), None)
                    if fate and fate.type == "DDATA" and fate.record["t"] > m.record["t"] + 2:
                        yield f"{m}: lost, and data goes on"
                    if not fate and session.records[-1]["t"] > m.record["t"] + 5:
                        yield f"{m}: lost without a death"


def quality_of(metric):
    properties = metric.get("properties", {})
    pairs = zip(properties.get("keys", []), properties.get("values", []))
    return next((v.get("int_value") for k, v in pairs if k == "Quality"), 192)


# --- what can't be seen on the wire

UNSEEN = {
    "what other nodes are called can't be seen in the session of one; two uplinks of one configuration with one name "
    "on one broker are an error": [
        "intro-edge-node-id-uniqueness", "topic-structure-namespace-unique-edge-node-descriptor",
        "payloads-nbirth-edge-node-descriptor",
    ],
    "a permission (MAY) about other nodes": ["topic-structure-namespace-duplicate-device-id-across-edge-node"],
    "binds host applications, whose STATE messages an edge node only reads (its side is judged by the phid "
    "assertions)": [
        "host-topic-phid-birth-payload", "host-topic-phid-death-payload-timestamp-connect",
        "host-topic-phid-death-payload-timestamp-disconnect-clean", "operational-behavior-host-application-host-id",
        "operational-behavior-host-application-connect-will-payload", "payloads-state-will-message-payload",
        "payloads-state-birth-payload",
    ],
}


def table():
    """The table of docs/sparkplug.md."""
    lines = ["| assertion | checked by, or why it can't be seen |", "|---|---|"]
    unseen = {name: why for why, names in UNSEEN.items() for name in names}
    with open(__file__.replace("checker.py", "assertions.txt")) as file:
        for name in file.read().split():
            rules = RULES.get(name)
            how = ", ".join(dict.fromkeys(f"`{label(r)}`" for r in rules)) if rules else unseen[name]
            lines.append(f"| {name} | {how} |")
    return "\n".join(lines)


def label(function):
    return function.__qualname__.split(".")[0]


if __name__ == "__main__":
    print(table())
