"""Who is at the other end of a connection: its address, and the certificate that it proved."""

import asyncio
from typing import Any

from petset.base.http import PeerCertificate


def remote(transport: asyncio.Transport) -> str:
    """The address as `host:port`, "" where there is none."""
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"{host}:{name[1]}"
    return ""


def peer_certificate(ssl_object: Any) -> PeerCertificate | None:
    """Subject of the certificate that the peer of a TLS connection proved, if it did."""
    certificate = ssl_object.getpeercert()
    if not certificate:
        return None
    pairs = [pair for rdn in certificate.get("subject", ()) for pair in rdn]
    names = [value for key, value in pairs if key == "commonName"]
    organizations = tuple(value for key, value in pairs if key == "organizationName")
    return PeerCertificate(names[-1] if names else "", organizations)
