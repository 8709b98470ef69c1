"""Certificates of a cluster in memory: one authority, P-256 keys. Nothing is written here.

Who imports this loads `cryptography`, which takes a while: the server and the agents do not.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE_DAYS = 3650
"""How long certificates are valid, authorities and others alike."""

_EARLY = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate and its unencrypted private key (PKCS 8), both as PEM."""

    cert: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a certificate is for.

    Attributes:
        common_name: the user, or the server's own name.
        organizations: the user's groups; a certificate without any is no client's.
        names, addresses: DNS names and IP addresses that a server is reached by.
        serve: whether a server may show it.
    """

    common_name: str
    organizations: Sequence[str] = ()
    names: Sequence[str] = ()
    addresses: Sequence[str] = ()
    serve: bool = False


def authority(common_name: str, now_s: float) -> Pem:
    """A new authority, valid from `now_s` (seconds since the epoch) on."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(common_name, ())
    builder = _builder(subject, subject, key.public_key(), now_s)
    builder = builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    ).add_extension(_usage(sign=True), critical=True)
    return _pem(builder.sign(key, hashes.SHA256()), key)


def issue(signer: Pem, purpose: Purpose, now_s: float) -> Pem:
    """A new key and its certificate, signed by the authority `signer`."""
    ca_cert = x509.load_pem_x509_certificate(signer.cert)
    ca_key = serialization.load_pem_private_key(signer.key, None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(purpose.common_name, purpose.organizations)
    builder = _builder(subject, ca_cert.subject, key.public_key(), now_s)
    for extension, critical in _extensions(purpose, ca_key.public_key()):
        builder = builder.add_extension(extension, critical)
    return _pem(builder.sign(ca_key, hashes.SHA256()), key)


def _extensions(
    purpose: Purpose, ca_key: ec.EllipticCurvePublicKey
) -> list[tuple[x509.ExtensionType, bool]]:
    uses = [ExtendedKeyUsageOID.SERVER_AUTH] if purpose.serve else []
    if purpose.organizations:
        uses.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(sign=False), True),
        (x509.ExtendedKeyUsage(uses), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key), False),
    ]
    others: list[x509.GeneralName] = [x509.DNSName(name) for name in purpose.names]
    others += [x509.IPAddress(ipaddress.ip_address(a)) for a in purpose.addresses]
    if others:
        found.append((x509.SubjectAlternativeName(others), False))
    return found


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
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now_s: float
) -> x509.CertificateBuilder:
    now = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + datetime.timedelta(days=LIFE_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
    )


def _pem(cert: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pem:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Pem(cert.public_bytes(serialization.Encoding.PEM), private)
