"""Debian's Mosquitto as a LAN broker with a bridge to the cloud.

Its man page for not losing data: `persistence true`, `cleansession false`, QoS 1, `max_queued_messages 0` (no
limit), and the shortest interval of its snapshots, `autosave_interval 1`: what came since the last one is lost
by a crash.
"""

import os
import shutil

from measure import said
from subjects.base import Subject, grouped

BINARY = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


class Bridge(Subject):
    name = "Mosquitto bridge"
    polls = False
    window = 1.0
    settings = "persistence each second, QoS 1, `cleansession false`, no limit for what is queued"

    @classmethod
    def install(cls):
        return said(BINARY, "-h")

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.keepalive = 60

    def configure(self):
        (self.directory / "mosquitto.conf").write_text(f"""
listener {self.lan} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {self.state}/
autosave_interval 1
max_queued_messages 0
user root
connection cloud
address {self.host}:{self.cloud}
topic # out 1
cleansession false
notifications false
restart_timeout 1
keepalive_interval {self.keepalive}
""")

    def command(self):
        return [BINARY, "-c", self.directory / "mosquitto.conf"], dict(os.environ)

    def edit(self):
        """Its man page: bridges are read at the start only."""
        self.keepalive = 30
        self.configure()
        self.stop()
        self.start()

    def values(self, topic, payload):
        return grouped(payload)
