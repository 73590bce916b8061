"""What the TLS listeners offer, as sslscan sees it: nothing that is out of date."""

import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from certificates import authority, certificate
from conftest import Gateway, Process, free_port, listening, wait_for

# All that TLS 1.2 and 1.3 have left: ephemeral keys, and ciphers that authenticate what they encrypt.
CIPHERS = {
    "TLSv1.3": {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"},
    "TLSv1.2": {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"},
}
GROUPS = {"x25519", "secp256r1 (NIST P-256)", "secp384r1 (NIST P-384)"}


def scanned(directory, port, *options):
    scan = subprocess.run(["sslscan", "--xml=-", "--no-colour", *map(str, options), f"localhost:{port}"],
                          capture_output=True, text=True, timeout=120, cwd=directory)
    assert scan.returncode == 0, scan
    return ElementTree.fromstring(scan.stdout).find("ssltest")


def protocols(scan):
    return {f"{p.get('type')} {p.get('version')}" for p in scan.iter("protocol") if p.get("enabled") == "1"}


@pytest.mark.parametrize("kind", ["tls", "wss", "mutual"])
def test_no_legacy_protocol_and_no_legacy_cipher(tmp_path, started, kind):
    authority(tmp_path)
    certificate(tmp_path, "broker", "localhost")
    certificate(tmp_path, "robot", "robot-7")
    port = free_port()
    word = "wss" if kind == "wss" else "tls"
    ca = ", client-ca: ca.pem" if kind == "mutual" else ""
    started(Gateway(tmp_path, f"""
gateway: {{ name: g }}
store: {{ path: {tmp_path}/state }}
broker:
  listeners: [ {{ {word}: "127.0.0.1:{port}", certificate: broker.pem, key: broker.key{ca}, anonymous: true }} ]
"""))
    wait_for(lambda: listening(port), what="the listener")
    client = ["--certs=robot.pem", "--pk=robot.key"] if kind == "mutual" else []
    scan = scanned(tmp_path, port, *client)
    assert protocols(scan) == {"tls 1.2", "tls 1.3"}
    ciphers = {}
    for cipher in scan.iter("cipher"):
        ciphers.setdefault(cipher.get("sslversion"), set()).add(cipher.get("cipher"))
        assert int(cipher.get("bits")) >= 128 and cipher.get("strength") in ("strong", "acceptable"), cipher.attrib
    assert ciphers == CIPHERS
    groups = {group.get("name") for group in scan.iter("group")}
    assert groups and groups <= GROUPS, groups
    assert scan.find("renegotiation").get("supported") == "0"
    assert [h.get("vulnerable") for h in scan.iter("heartbleed")] == ["0", "0"]


def test_the_scan_would_see_what_is_out_of_date(tmp_path, started):
    """The same scan of a server that speaks TLS 1.0 and up, with every cipher that openssl still has."""
    authority(tmp_path)
    certificate(tmp_path, "broker", "localhost")
    port = free_port()
    started(Process(["openssl", "s_server", "-accept", port, "-cert", tmp_path / "broker.pem", "-key", tmp_path / "broker.key",
                     "-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1", "-quiet"], tmp_path / "server.log"))
    wait_for(lambda: listening(port), what="the server")
    scan = scanned(tmp_path, port)
    assert {"tls 1.0", "tls 1.1", "tls 1.2"} <= protocols(scan)
    assert any("GCM" not in c.get("cipher") for c in scan.iter("cipher"))
