"""How clients reach a test cluster: its certificates, its TLS context and its kubeconfig files.

Invariant: nothing is shared with another cluster: authority, port and directory are its own.
"""

import base64
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from petset.base import certificates, tlsconfig
from petset.base.certificates import Pem, Purpose
from petset.base.clock import SystemClock

HOST = "127.0.0.1"
ADMIN_USER = "kubernetes-admin"
MASTERS = ("system:masters",)


class Access:
    """The way in.

    Args:
        directory: where files are put; stays the caller's to remove.
        tls: False serves plain HTTP, on which everybody is the administrator.
    """

    def __init__(self, directory: Path, *, tls: bool) -> None:
        self.directory = directory
        self.tls = tls
        self.port = 0
        self._now_s = SystemClock().now()
        self._authority = certificates.authority("petset-testing", self._now_s) if tls else None

    @property
    def url(self) -> str:
        """`https://127.0.0.1:port`."""
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"

    @property
    def authority(self) -> bytes:
        """The authority's certificate, PEM; b"" without TLS."""
        return b"" if self._authority is None else self._authority.cert

    def server_context(self) -> ssl.SSLContext | None:
        """What the server listens with; None without TLS."""
        if self._authority is None:
            return None
        purpose = Purpose("kube-apiserver", (), ["localhost"], [HOST], serve=True)
        own = certificates.issue(self._authority, purpose, self._now_s)
        ca = self.directory / "ca.crt"
        ca.write_bytes(self.authority)
        cert, key = self._write("apiserver", own)
        return tlsconfig.server_context(cert, key, ca)

    def kubeconfig(self, user: str = ADMIN_USER, groups: Sequence[str] = MASTERS) -> dict[str, Any]:
        """A kubeconfig whose context is `user`, with a certificate of its own inside."""
        cluster: dict[str, Any] = {"server": self.url}
        if self._authority is not None:
            cluster["certificate-authority-data"] = _inline(self.authority)
        context = {"cluster": "petset-testing", "user": user, "namespace": "default"}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "petset-testing", "cluster": cluster}],
            "users": [{"name": user, "user": self._credentials(user, groups)}],
            "contexts": [{"name": "petset-testing", "context": context}],
            "current-context": "petset-testing",
        }

    def write_kubeconfig(self, user: str = ADMIN_USER, groups: Sequence[str] = MASTERS) -> Path:
        """The same as a file that only its owner can read."""
        text = yaml.safe_dump(self.kubeconfig(user, groups), sort_keys=False)
        path = self.directory / f"{user.replace('/', '_')}.kubeconfig"
        _write_private(path, text.encode())
        return path

    def _credentials(self, user: str, groups: Sequence[str]) -> dict[str, str]:
        if self._authority is None:
            return {}
        # A certificate without any group would be no client's.
        purpose = Purpose(user, tuple(groups) or ("system:authenticated",))
        own = certificates.issue(self._authority, purpose, self._now_s)
        return {
            "client-certificate-data": _inline(own.cert),
            "client-key-data": _inline(own.key),
        }

    def _write(self, name: str, pem: Pem) -> tuple[Path, Path]:
        cert, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        cert.write_bytes(pem.cert)
        _write_private(key, pem.key)
        return cert, key


def _write_private(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)


def _inline(data: bytes) -> str:
    return base64.b64encode(data).decode()
