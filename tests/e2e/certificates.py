"""An authority of a plant and what it signs, made with openssl."""

import subprocess


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
