"""The cluster's own certificates as files: made once and kept.

Certificates are valid for ten years, node and user ones alike; there is no rotation yet.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from petset.base import certificates
from petset.base.certificates import Pem, Purpose
from petset.base.clock import SystemClock
from petset.cli import state


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
        _write(authority, certificates.authority("petset", SystemClock().now()))
    purposes = {
        "apiserver": Purpose("kube-apiserver", (), names, addresses, serve=True),
        "admin": Purpose("kubernetes-admin", ("system:masters",)),
        "apiserver-kubelet": Purpose("petset-apiserver", ("system:masters",)),
    }
    for name, purpose in purposes.items():
        if not (files := pair(directory, name)).exists:
            issue(directory, files, purpose)


def ensure_node(directory: Path, node: str, address: str) -> None:
    """Make the certificate that node `node` serves and speaks with, if it is missing."""
    files = pair(directory, f"node-{node}")
    if not files.exists:
        user = f"system:node:{node}"
        issue(directory, files, Purpose(user, ("system:nodes",), [node], [address], serve=True))


def issue(directory: Path, files: Pair, purpose: Purpose) -> None:
    """Make a key and a certificate signed by the cluster's authority."""
    authority = pair(directory, "ca")
    signer = Pem(authority.cert.read_bytes(), authority.key.read_bytes())
    _write(files, certificates.issue(signer, purpose, SystemClock().now()))


def _write(files: Pair, made: Pem) -> None:
    old = os.umask(0o077)
    try:
        state.write_atomic(files.key, made.key, 0o600)
    finally:
        os.umask(old)
    state.write_atomic(files.cert, made.cert)
