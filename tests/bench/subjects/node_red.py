"""Node-RED with node-red-contrib-modbus, from npm into a directory of its own; a flow that the harness makes.

QoS 1 and a session that is not clean are what its MQTT nodes offer against loss; they keep nothing on the disk.
node-red-contrib-modbus 5.23.3 is the newest that has all it needs in npm's registry and runs on Node.js 20.
"""

import json
import os
import subprocess
import urllib.request

from measure import ROOT
from subjects.base import Subject, free_port, grouped

HOME = ROOT / "target/bench-node-red"
PACKAGES = ["node-red@4", "node-red-contrib-modbus@5.23.3"]
# Two registers to a tag, at most 125 to a request.
TAGS_PER_READ = 62
DECODE = """
const values = {};
const words = msg.payload;
for (let i = 0; i + 1 < words.length; i += 2) values["t" + (FIRST + i / 2)] = words[i] * 65536 + words[i + 1];
return { topic: "bench/DEVICE", payload: JSON.stringify({ ts: Date.now(), values }) };
"""


class NodeRed(Subject):
    name = "Node-RED"
    settings = "MQTT out with QoS 1, `cleansession: false`; requests queued by the client node"

    @classmethod
    def install(cls):
        if not (HOME / "node_modules/node-red-contrib-modbus").exists():
            HOME.mkdir(parents=True, exist_ok=True)
            quiet = ["--no-audit", "--no-fund", "--silent"]
            subprocess.run(["npm", "install", "--prefix", HOME, *quiet, *PACKAGES], check=True)
        versions = [json.loads((HOME / "node_modules" / p / "package.json").read_text())["version"] for p in ("node-red", "node-red-contrib-modbus")]
        return "Node-RED {}, node-red-contrib-modbus {}".format(*versions)

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.admin = free_port()

    def configure(self):
        (self.state / "settings.js").write_text(
            f'module.exports = {{ uiHost: "127.0.0.1", uiPort: {self.admin}, flowFile: "flows.json", '
            f'nodesDir: "{HOME}/node_modules", diagnostics: {{ enabled: false }}, telemetry: {{ enabled: false }}, '
            'logging: { console: { level: "warn" } } };\n'
        )
        (self.state / "flows.json").write_text(json.dumps(self._flow()))

    def _flow(self):
        cloud = {
            "id": "cloud", "type": "mqtt-broker", "broker": self.host, "port": str(self.cloud), "clientid": "node-red",
            "autoConnect": True, "usetls": False, "protocolVersion": "4", "keepalive": "60", "cleansession": False,
        }
        out = {"id": "out", "type": "mqtt out", "z": "tab", "topic": "", "qos": "1", "retain": "false", "broker": "cloud", "wires": []}
        nodes, clients = [{"id": "tab", "type": "tab", "label": "bench"}, cloud, out], {}
        for device in self.devices:
            link = device.line or device.port
            if link not in clients:
                clients[link] = f"client{len(clients)}"
                nodes.append(self._client(clients[link], device))
            for first in range(0, device.tags, TAGS_PER_READ):
                name = f"{device.name}-{first}"
                code = DECODE.replace("FIRST", str(first)).replace("DEVICE", device.name)
                nodes.append({"id": f"f-{name}", "type": "function", "z": "tab", "func": code, "outputs": 1, "wires": [["out"]]})
                nodes.append({
                    "id": f"r-{name}", "type": "modbus-read", "z": "tab", "name": name, "topic": "", "unitid": str(device.unit),
                    "dataType": "HoldingRegister", "adr": str(2 * first), "quantity": str(2 * min(TAGS_PER_READ, device.tags - first)),
                    "rate": str(self.every_ms[device.name]), "rateUnit": "ms", "delayOnStart": False, "startDelayTime": "",
                    "server": clients[link], "useIOFile": False, "ioFile": "", "useIOForPayload": False, "emptyMsgOnFail": False,
                    "showStatusActivities": False, "logIOActivities": False, "showErrors": False, "wires": [[f"f-{name}"], []],
                })
        return nodes

    @staticmethod
    def _client(name, device):
        return {
            "id": name, "type": "modbus-client", "name": f"the {name}", "clienttype": "serial" if device.line else "tcp",
            "bufferCommands": True, "stateLogEnabled": False, "queueLogEnabled": False,
            "tcpHost": "127.0.0.1", "tcpPort": str(device.port), "tcpType": "DEFAULT",
            "serialPort": device.line, "serialType": "RTU-BUFFERD", "serialBaudrate": "9600", "serialDatabits": "8",
            "serialStopbits": "1", "serialParity": "none", "serialConnectionDelay": "100", "serialAsciiResponseStartDelimiter": "0x3A",
            "unit_id": str(device.unit), "commandDelay": "5" if device.line else "1", "clientTimeout": "3000", "reconnectOnTimeout": True,
            "reconnectTimeout": "2000", "parallelUnitIdsAllowed": not device.line,
        }

    def command(self):
        return ["node", HOME / "node_modules/node-red/red.js", "--userDir", self.state], dict(os.environ)

    def apply(self):
        """A deployment through its API, of what has changed."""
        headers = {"Content-Type": "application/json", "Node-RED-Deployment-Type": "nodes", "Node-RED-API-Version": "v1"}
        body = (self.state / "flows.json").read_bytes()
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.admin}/flows", body, headers), timeout=30).close()

    def buffer(self):
        return []

    def values(self, topic, payload):
        return grouped(payload)
