"""An authority of a plant and what it signs, made with openssl, and certificates of any time."""

import datetime
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def openssl(directory, *arguments):
    subprocess.run(["openssl", *map(str, arguments)], cwd=directory, check=True, capture_output=True)


def authority(directory):
    openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=plant CA",
            "-keyout", "ca.key", "-out", "ca.pem")


def certificate(directory, name, common, days=60, names="DNS:localhost,IP:127.0.0.1"):
    openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={common}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr")
    extensions = directory / f"{name}.ext"
    extensions.write_text(f"subjectAltName={names}\n")
    openssl(directory, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", days, "-extfile", extensions, "-out", f"{name}.pem")


def dated(directory, name, begin, end):
    """One that is valid from the beginning of one year to that of another, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(begin, 1, 1)).not_valid_after(datetime.datetime(end, 1, 1))
        .sign(key, hashes.SHA256())
    )
    (directory / f"{name}.pem").write_bytes(made.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / f"{name}.key").write_bytes(pem)
    (directory / f"{name}.key").chmod(0o600)
