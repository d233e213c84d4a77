"""A certificate authority of our own, and the certificates and keys that it signs, in PEM files."""

import datetime
import ipaddress
from pathlib import Path

# Comes with moto, which needs it.
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ADDRESS = ipaddress.ip_address("127.0.0.1")
DAY = datetime.timedelta(days=1)


class Authority:
    """An authority whose certificate stands in `<name>.pem` in this directory."""

    def __init__(self, directory: Path, name: str):
        self.directory = directory
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        builder = self.builder(name, self.key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(pem(builder.sign(self.key, hashes.SHA256())))

    def issue(self, name: str) -> tuple:
        """Signs a certificate for servers on the loopback address and for clients; the paths of it and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = self.builder(name, key.public_key()).add_extension(uses, critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ADDRESS)]), critical=False)
        certificate_file, key_file = self.directory / f"{name}.pem", self.directory / f"{name}.key.pem"
        certificate_file.write_bytes(pem(builder.sign(self.key, hashes.SHA256())))
        key_file.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption(),
        ))
        return certificate_file, key_file

    def builder(self, name: str, public_key) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(called(name)).issuer_name(called(self.name)).public_key(public_key)
        return builder.serial_number(x509.random_serial_number()).not_valid_before(now - DAY).not_valid_after(now + DAY)


def called(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
