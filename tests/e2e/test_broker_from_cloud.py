"""Messages of a cloud on the LAN brokers of gateways: as they came, where they belong, and never in a circle."""

import signal

import paho.mqtt.client as mqtt
import pytest

from conftest import Gateway, Mosquitto, Recorder, free_port, listening, wait_for

QOS_MAX = 2


def publish(port, topic, payload, qos=1, retain=False):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_for(client.is_connected, what="the connection")
    client.publish(topic, payload, qos, retain).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


class Site(Gateway):
    """A gateway with a LAN broker and uplinks, `name: (port, keys)`."""

    def __init__(self, directory, name, uplinks, lan=None):
        self.name, self.lan = name, lan or free_port()
        super().__init__(directory / name, "")
        self.write(self.text(uplinks))

    def text(self, uplinks):
        # Notices of a gateway would come back as well, and be counted.
        lines = [f"  {up}: {{ url: 'mqtt://127.0.0.1:{port}', notices: off, {keys} }}" for up, (port, keys) in uplinks.items()]
        return "\n".join([
            f"gateway: {{ name: {self.name} }}",
            f"broker: {{ listeners: [ {{ tcp: '127.0.0.1:{self.lan}' }} ] }}",
            f"store: {{ path: {self.directory}/state, commit: 50ms }}",
            "uplinks:", *lines, ""])

    def start(self, ready=True):
        super().start(ready)
        wait_for(lambda: listening(self.lan), what="the LAN broker")
        return self

    def online(self):
        wanted = self.config.read_text().count("filter:") + self.config.read_text().count("/set'")
        heard = lambda s: sum(u["commands"]["filters_granted"] for u in s["uplinks"].values() if u["state"] == "online")
        return self.wait(lambda s: all(u["state"] == "online" for u in s["uplinks"].values()) and heard(s) == wanted, what="subscribed")

    def local(self, uplink):
        return self.status()["uplinks"][uplink]["local"]


class Subscriber(Recorder):
    """As a recorder, at the highest quality of service."""

    def __init__(self, port, topics=("#",)):
        super().__init__(port, (), version=mqtt.MQTTv5)
        self.client.subscribe([(topic, mqtt.SubscribeOptions(qos=QOS_MAX, retainAsPublished=True)) for topic in topics])
        wait_for(lambda: self.subscribed, what="the subscription")

    def got(self):
        return [(m.topic, m.payload.decode(), m.qos, m.retain) for m in list(self.messages)]


RECEIVE = "send: ['#'], receive: [ { filter: '#', under: cloud, qos: 2 } ]"


def settled(brokers, seconds=20):
    """Waits until a mark that was published last has come through everywhere, and returns."""
    for port, recorder, topic in brokers:
        publish(port, "mark/end", "mark")
        wait_for(lambda: any(m.topic == topic for m in recorder.messages), seconds, f"{topic}")


def test_quality_retention_and_place(tmp_path, started):
    cloud = started(Mosquitto(tmp_path / "cloud"))
    publish(cloud.port, "plants/berlin/recipes/0", "kept in the cloud", retain=True)
    entries = ("prefix: plants/berlin, receive: [ 'works/+/set', { filter: 'plants/berlin/recipes/#', under: cloud, qos: 2, retain: true },"
               " { filter: 'news/+', under: 'from/{uplink}', qos: 2 } ]")
    site = started(Site(tmp_path, "edge", {"hq": (cloud.port, entries)}))
    site.online()
    # What the cloud retains comes at the connection, before any of this.
    site.wait(lambda s: s["uplinks"]["hq"]["local"]["published"] == 1, what="the retained recipe")
    lan = started(Subscriber(site.lan, ["cloud/#", "from/#"]))
    wait_for(lambda: lan.got() == [("cloud/recipes/0", "kept in the cloud", 1, True)], what="the retained recipe")
    for qos in range(QOS_MAX + 1):
        publish(cloud.port, "news/a", f"q{qos}", qos)
    publish(cloud.port, "plants/berlin/recipes/1", "r", 1)
    want = [("from/hq/news/a", f"q{qos}", qos, False) for qos in range(QOS_MAX + 1)] + [("cloud/recipes/1", "r", 1, True)]
    # The cloud's broker hands on a message of QoS 2 later than one of QoS 1 that came after it.
    wait_for(lambda: sorted(lan.got()[1:]) == sorted(want), what="each as it came")
    late = started(Subscriber(site.lan, ["#"]))
    wait_for(lambda: len(late.got()) == 2, what="what is retained here")
    assert {topic for topic, *_ in late.got()} == {"cloud/recipes/0", "cloud/recipes/1"}
    publish(cloud.port, "plants/berlin/recipes/1", "", 1, retain=True)
    wait_for(lambda: lan.got()[-1][:2] == ("cloud/recipes/1", ""), what="the removal")
    counted = {"published": QOS_MAX + 4, "turned": {}}
    site.wait(lambda s: s["uplinks"]["hq"]["local"] == counted, what="each counted")
    # It is kept for those who come later, also when the cloud is away at the next start.
    cloud.stop()
    assert site.stop() == 0
    site.start()
    later = started(Subscriber(site.lan, ["#"]))
    wait_for(lambda: later.got() == [("cloud/recipes/0", "kept in the cloud", 1, True)], what="what was retained before")


def test_two_gateways_and_one_cloud_that_send_and_receive_everything(tmp_path, started):
    cloud = started(Mosquitto(tmp_path / "cloud"))
    sites = [started(Site(tmp_path, name, {"up": (cloud.port, RECEIVE)})) for name in ("a", "b")]
    [site.online() for site in sites]
    above = started(Recorder(cloud.port))
    lans = [started(Subscriber(site.lan)) for site in sites]
    for n in range(20):
        publish(sites[0].lan, f"x/{n}", "from a")
    publish(cloud.port, "news", "from above")
    for lan in lans:
        wait_for(lambda: {"cloud/news", "cloud/x/19"} <= {m.topic for m in lan.messages}, what="the messages")
    settled([(sites[0].lan, lans[1], "cloud/mark/end"), (sites[1].lan, lans[0], "cloud/mark/end")])
    # Once up, and once down to each; nothing of it up again. The marks are the last that came up.
    wait_for(lambda: len(above.on("mark/end")) == len(sites), what="the marks at the cloud")
    assert len(above.on("x/7")) == 1 and len(above.on("news")) == 1
    assert not [m.topic for m in above.messages if m.topic.startswith("cloud/")]
    assert len(lans[1].on("cloud/x/7")) == 1 and len(lans[0].on("cloud/news")) == 1
    assert all("cloud/cloud" not in m.topic for lan in lans for m in lan.messages)
    # 20, the news and one or two marks have come to each; a sent 20 and a mark, b a mark.
    for site, sent in zip(sites, (21, 1)):
        site.wait(lambda s: s["uplinks"]["up"]["local"]["published"] == 23, what="each message once")
        status = site.wait(lambda s: s["broker"]["forwarded"] == sent, what="what clients sent")
        assert status["uplinks"]["up"]["local"]["turned"] == {}


def test_two_clouds_and_two_gateways_in_a_ring(tmp_path, started):
    """Up by one uplink, down at the other gateway, which would send it up by its other uplink."""
    clouds = [started(Mosquitto(tmp_path / f"cloud{n}")) for n in range(2)]
    a = started(Site(tmp_path, "a", {"out": (clouds[0].port, "send: ['#']"), "in": (clouds[1].port, "send: [none], receive: { filter: '#', under: c1 }")}))
    b = started(Site(tmp_path, "b", {"out": (clouds[1].port, "send: ['#']"), "in": (clouds[0].port, "send: [none], receive: { filter: '#', under: c0 }")}))
    a.online(), b.online()
    above = [started(Recorder(cloud.port)) for cloud in clouds]
    lans = [started(Subscriber(site.lan)) for site in (a, b)]
    publish(a.lan, "x", "round")
    settled([(a.lan, lans[1], "c0/mark/end"), (b.lan, lans[0], "c1/mark/end")])
    wait_for(lambda: above[0].on("mark/end"), what="the mark at the first cloud")
    assert len(above[0].on("x")) == 1 and len(lans[1].on("c0/x")) == 1
    # The mark of b is there by now, or on its way: it is what a copy would have come before.
    wait_for(lambda: above[1].on("mark/end"), what="the mark at the second cloud")
    assert {m.topic for m in above[1].messages} == {"mark/end"}, "not sent up by the other uplink"
    assert "c1/c0/x" not in {m.topic for m in lans[0].messages}


def test_gateways_that_are_each_others_cloud_in_a_ring(tmp_path, started):
    """a hears b, b hears c, c hears a: all of it, under one name or under three."""
    for under in (["here"] * 3, ["from-b", "from-c", "from-a"]):
        ports = [free_port() for _ in range(3)]
        sites = []
        for n, name in enumerate("abc"):
            keys = f"send: [none], receive: {{ filter: '#', under: {under[n]}, qos: {QOS_MAX} }}"
            place = tmp_path / under[0]
            sites.append(started(Site(place, name, {"next": (ports[(n + 1) % 3], keys)}, lan=ports[n])))
        [site.online() for site in sites]
        lans = [started(Subscriber(site.lan)) for site in sites]
        publish(ports[1], "x", "round")
        turned = lambda: sum(sum(site.local("next")["turned"].values()) for site in sites)
        wait_for(lambda: turned() == 1, what="the end of the ring")
        hops = 1 if under[0] == "here" else 3
        assert sum(site.local("next")["published"] for site in sites) == hops
        assert {k for site in sites for k in site.local("next")["turned"]} == {"looped"}
        wait_for(lambda: sum(len(lan.messages) for lan in lans) == hops + 1, what="the copies")
        assert len(lans[0].on(f"{under[0]}/x")) == 1


def test_what_is_received_changes_while_clients_stay(tmp_path, started):
    cloud = started(Mosquitto(tmp_path / "cloud"))
    site = started(Site(tmp_path, "edge", {"hq": (cloud.port, "send: [none]")}))
    site.online()
    lan = started(Subscriber(site.lan))
    publish(cloud.port, "news", "nobody asked")
    uplinks = {"hq": (cloud.port, "send: [none], receive: { filter: news, under: cloud }")}
    site.write(site.text(uplinks))
    site.signal(signal.SIGHUP)
    wait_for(lambda: "configuration taken" in site.output(), what="the new configuration")
    site.online()

    def heard():
        publish(cloud.port, "news", "now")
        return lan.on("cloud/news")

    wait_for(heard, what="the news")
    assert lan.on("cloud/news")[0].payload == b"now" and lan.client.is_connected()
    shown = site.status()["uplinks"]["hq"]["local"]
    assert shown["published"] >= 1
