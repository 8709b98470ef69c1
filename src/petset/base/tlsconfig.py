"""TLS contexts: server and client, TLS 1.2 and newer, HTTP/1.1 only.

Invariant: a certificate that does not lead to the given CA never makes a connection.
"""

import ssl
from pathlib import Path


def server_context(
    cert: Path, key: Path, client_ca: Path | None = None, *, require: bool = False
) -> ssl.SSLContext:
    """A context for listening with the chain in `cert` (PEM).

    With `client_ca`, clients are asked for a certificate: a bad one ends the handshake, none is
    fine unless `require`. Raises OSError or ssl.SSLError for files that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["http/1.1"])
    # Resumed sessions would skip the client's certificate, and tickets cost every handshake.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if require else ssl.CERT_OPTIONAL
    elif require:
        raise ValueError("client certificates cannot be required without a CA to check them by")
    return context


def client_context(
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
    *,
    verify: bool = True,
) -> ssl.SSLContext:
    """A context for connecting. `ca` None trusts the system's CAs; `cert` and `key` identify us.

    `verify` False takes any server (for `insecure-skip-tls-verify` only).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is not None:
        context.load_verify_locations(ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if cert is not None:
        context.load_cert_chain(cert, key)
    return context
