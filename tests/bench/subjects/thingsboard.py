"""ThingsBoard IoT Gateway, from PyPI into a venv of its own.

Its storage is SQLite and its QoS 1, which is what its documentation recommends for not losing data
(thingsboard.io/docs/iot-gateway/configuration: "sqlite … persistent", "qos 1"). The limits for rates are off:
they are those of a ThingsBoard account, and the broker here has none.
"""

import json
import os
import subprocess
import sys

import paho.mqtt.client as mqtt
from cloud import thingsboard_answer
from measure import ROOT
from subjects.base import Subject

VENV = ROOT / "target/bench-thingsboard"
# The last three it would install itself, at its first start with a Modbus connector.
PACKAGES = ["thingsboard-gateway==3.8.5", "pymodbus==3.9.2", "pyserial", "pyserial-asyncio"]
NO_LIMIT = "0:0,"
LIMITS = ["rateLimits", "dpRateLimits", "messagesRateLimits", "deviceMessagesRateLimits", "deviceRateLimits", "deviceDpRateLimits"]


class ThingsBoard(Subject):
    name = "ThingsBoard"
    settings = "storage `sqlite`, `qos: 1`, ranges of registers with the most per request, rate limits off"
    ranges = True

    @classmethod
    def install(cls):
        if not (VENV / "bin/thingsboard-gateway").exists():
            subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
            subprocess.run([VENV / "bin/pip", "install", "-q", *PACKAGES], check=True)
        show = [VENV / "bin/pip", "show", "thingsboard-gateway"]
        shown = subprocess.run(show, capture_output=True, text=True, check=True).stdout
        return "ThingsBoard IoT Gateway " + shown.split("Version: ")[1].split("\n")[0]

    def configure(self):
        config = self.directory / "config"
        config.mkdir(exist_ok=True)
        (self.directory / "logs").mkdir(exist_ok=True)
        logs = {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(module)s %(message)s"}},
            "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stdout"}},
            "root": {"level": "ERROR", "handlers": ["out"]},
        }
        (config / "logs.json").write_text(json.dumps(logs))
        (config / "tb_gateway.json").write_text(json.dumps(self._gateway(), indent=1))
        slaves = [self._slave(device) for device in self.devices]
        (config / "modbus.json").write_text(json.dumps({"name": "field", "logLevel": "ERROR", "master": {"slaves": slaves}}))

    def _gateway(self):
        return {
            "thingsboard": {
                "host": self.host,
                "port": self.cloud,
                "remoteShell": False,
                "remoteConfiguration": False,
                "statistics": {"enable": False},
                "checkConnectorsConfigurationInSeconds": 5,
                "security": {"type": "accessToken", "accessToken": "bench"},
                "qos": 1,
                **{limit: NO_LIMIT for limit in LIMITS},
            },
            "storage": {"type": "sqlite", "data_file_path": f"{self.state}/", "messages_ttl_in_days": 7},
            "grpc": {"enabled": False},
            "connectors": [{"type": "modbus", "name": "field", "configuration": "modbus.json"}],
        }

    def _slave(self, device):
        link = {"type": "tcp", "method": "socket", "host": "127.0.0.1", "port": device.port}
        if device.line:
            link = {"type": "serial", "method": "rtu", "port": device.line, "baudrate": 9600}
            # Without a delay its next request comes within the 3.5 characters after an answer.
            link |= {"stopbits": 1, "bytesize": 8, "parity": "N", "delayBetweenRequestsMs": 5}
        tag = {"type": "32uint", "functionCode": 3, "objectsCount": 2}
        if self.ranges:
            whole = {"tag": "r${address}", "address": f"0-{2 * device.tags - 1}", "maxRegistersPerRequest": 124}
            series = [tag | whole]
        else:
            series = [tag | {"tag": f"r{2 * t}", "address": 2 * t} for t in range(device.tags)]
        return link | {
            "unitId": device.unit,
            "deviceName": device.name,
            "timeout": 3,
            "byteOrder": "BIG",
            "wordOrder": "BIG",
            "retries": 3,
            "pollPeriod": self.every_ms[device.name],
            "connectAttemptTimeMs": 500,
            "connectAttemptCount": 5,
            "attributes": [],
            "timeseries": series,
        }

    def command(self):
        environment = dict(os.environ, TB_GW_CONFIG_DIR=f"{self.directory}/config")
        return [VENV / "bin/thingsboard-gateway"], environment

    def apply(self):
        """It looks after its connectors' files by itself, here every five seconds."""

    def beside(self, cloud):
        return Platform(cloud)

    def values(self, topic, payload):
        if topic != "v1/gateway/telemetry":
            return []
        items = [item for items in json.loads(payload).values() for item in items]
        return [(int(name[1:]) // 2, value) for item in items for name, value in item["values"].items()]


class Platform:
    """Beside a broker: answers as the platform does, without which the gateway sends nothing."""

    def __init__(self, port):
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda c, *_: c.subscribe("v1/devices/me/rpc/request/+")
        self.client.on_message = lambda c, u, m: c.publish(*thingsboard_answer(m.topic, m.payload.decode()))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class ThingsBoardTags(ThingsBoard):
    name = "ThingsBoard, tag by tag"
    settings = "the same, every tag with a name of its own"
    ranges = False
