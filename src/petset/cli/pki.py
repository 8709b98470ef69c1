"""The cluster's own certificates: one authority, P-256 keys, made once and kept.

Certificates are valid for ten years, node and user ones alike; there is no rotation yet.
"""

import datetime
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from petset.cli import state

_DAYS = 3650
_CLIENT = [ExtendedKeyUsageOID.CLIENT_AUTH]
_SERVER = [ExtendedKeyUsageOID.SERVER_AUTH]


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate file and its key file."""

    cert: Path
    key: Path

    @property
    def exists(self) -> bool:
        """Whether both files are there."""
        return self.cert.exists() and self.key.exists()


def pair(directory: Path, name: str) -> Pair:
    """The files of certificate `name`."""
    return Pair(directory / f"{name}.crt", directory / f"{name}.key")


def ensure_cluster(directory: Path, *, names: Sequence[str], addresses: Sequence[str]) -> None:
    """Make what is missing: authority, server, administrator, server-to-agent client.

    Args:
        names: DNS names of the API server.
        addresses: IP addresses of the API server.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    authority = pair(directory, "ca")
    if not authority.exists:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _subject("petset", ())
        builder = _builder(subject, subject, key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        builder = builder.add_extension(_usage(sign=True), critical=True)
        _write(authority, builder.sign(key, hashes.SHA256()), key)
    if not (server := pair(directory, "apiserver")).exists:
        issue(directory, server, "kube-apiserver", names=names, addresses=addresses, serve=True)
    if not (admin := pair(directory, "admin")).exists:
        issue(directory, admin, "kubernetes-admin", ("system:masters",))
    if not (towards := pair(directory, "apiserver-kubelet")).exists:
        issue(directory, towards, "petset-apiserver", ("system:masters",))


def ensure_node(directory: Path, node: str, address: str) -> None:
    """Make the certificate that node `node` serves and speaks with, if it is missing."""
    files = pair(directory, f"node-{node}")
    if not files.exists:
        issue(
            directory,
            files,
            f"system:node:{node}",
            ("system:nodes",),
            names=[node],
            addresses=[address],
            serve=True,
        )


def issue(
    directory: Path,
    files: Pair,
    common_name: str,
    organizations: Sequence[str] = (),
    *,
    names: Sequence[str] = (),
    addresses: Sequence[str] = (),
    serve: bool = False,
) -> None:
    """Make a key and a certificate signed by the cluster's authority."""
    authority = pair(directory, "ca")
    ca_cert = x509.load_pem_x509_certificate(authority.cert.read_bytes())
    ca_key = serialization.load_pem_private_key(authority.key.read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_subject(common_name, organizations), ca_cert.subject, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_usage(sign=False), True)
    uses = [*(_SERVER if serve else []), *(_CLIENT if organizations else [])]
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_cert.public_key()),  # type: ignore[arg-type]
        False,
    )
    if names or addresses:
        alternatives: list[x509.GeneralName] = [x509.DNSName(n) for n in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
    _write(files, builder.sign(ca_key, hashes.SHA256()), key)


def _subject(common_name: str, organizations: Sequence[str]) -> x509.Name:
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not sign,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
    )


def _write(files: Pair, cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    old = os.umask(0o077)
    try:
        state.write_atomic(files.key, private, 0o600)
    finally:
        os.umask(old)
    state.write_atomic(files.cert, cert.public_bytes(serialization.Encoding.PEM))
