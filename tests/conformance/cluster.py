"""A server of its own behind TLS, and real kubectl against it."""

import asyncio
import datetime
import ipaddress
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from petset.apiserver.app import App, refusal
from petset.apiserver.config import Config
from petset.apiserver.kubelet import Connect, no_connect
from petset.base.clock import SystemClock
from petset.base.edge import serve
from petset.base.ids import Ids
from petset.base.tlsconfig import server_context
from petset.store.drivers.memory import MemoryStore

START = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)


class Authority:
    """A CA in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        builder = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.ca = directory / "ca.pem"
        self.ca.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(START)
            .not_valid_after(END)
        )

    def issue(self, name: str, *organizations: str) -> tuple[Path, Path]:
        """Files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        parts += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        names += [x509.DNSName("localhost")] + ([] if ":" in name else [x509.DNSName(name)])
        builder = self._builder(x509.Name(parts), key).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        plain = name.replace(":", "-")
        cert, secret = self.directory / f"{plain}.pem", self.directory / f"{plain}.key"
        cert.write_bytes(_pem(builder.sign(self._key, hashes.SHA256())))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cert, secret


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.out.splitlines()]


class Kubectl:
    """kubectl with a kubeconfig and a cache of its own."""

    def __init__(self, binary: Path, config: Path, home: Path) -> None:
        self.binary = binary
        self._environment = {
            "HOME": str(home),
            "KUBECONFIG": str(config),
            "PATH": os.environ["PATH"],
            "KUBE_EDITOR": "false",
        }
        self._cache = home / f"cache-{binary.name}"

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [str(self.binary), f"--cache-dir={self._cache}", *words]

    async def run(
        self, *words: str, stdin: str | None = None, check: bool = True, editor: str = ""
    ) -> Result:
        """Run kubectl to its end; with `check` it has to succeed."""
        environment = dict(self._environment)
        if editor:
            environment["KUBE_EDITOR"] = editor
        process = await asyncio.create_subprocess_exec(
            *self._command(words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
        try:
            async with asyncio.timeout(40):
                out, err = await process.communicate((stdin or "").encode())
        except BaseException:
            process.kill()
            await process.communicate()
            raise
        result = Result(process.returncode or 0, out.decode(), err.decode())
        if check:
            assert result.code == 0, f"{words}: {result.out}{result.err}"
        return result

    @asynccontextmanager
    async def started(self, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """kubectl that runs on (a watch), killed at the end."""
        process = await asyncio.create_subprocess_exec(
            *self._command(words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def find_kubectls() -> list[Path]:
    """Every kubectl at hand: those of single versions, else the one on PATH."""
    found = shutil.which("kubectl")
    if found is None:
        return []
    real = Path(found).resolve()
    versions = sorted(real.parent.glob("kubectl.1.*"), key=lambda p: int(p.name.split(".")[-1]))
    return versions or [real]


@dataclass
class Cluster:
    app: App
    url: str
    config: Path
    home: Path
    authority: Authority

    def kubectl(self, binary: Path) -> Kubectl:
        return Kubectl(binary, self.config, self.home)

    def write_config(self, path: Path, cert: Path | None, key: Path | None) -> Path:
        user = {"client-certificate": str(cert), "client-key": str(key)} if cert else {}
        cluster = {"server": self.url, "certificate-authority": str(self.authority.ca)}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": user}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        return path


@asynccontextmanager
async def running(
    home: Path,
    authority: Authority | None = None,
    connect: Connect = no_connect,
    **settings: Any,
) -> AsyncIterator[Cluster]:
    """A server that listens on a free port of 127.0.0.1."""
    authority = authority or Authority(home)
    cert, key = authority.issue("petset")
    clock = SystemClock()
    store = MemoryStore(clock)
    app = App(store, clock, Ids(), config=Config(**settings), connect=connect)
    await app.start()
    edge = await serve(app.dispatch, ssl=server_context(cert, key, authority.ca), on_refuse=refusal)
    try:
        url = f"https://127.0.0.1:{edge.port}"
        cluster = Cluster(app, url, home / "config", home, authority)
        cluster.write_config(cluster.config, *authority.issue("kubernetes-admin", "system:masters"))
        yield cluster
    finally:
        await app.close()
        await edge.close(grace_s=0.5)
        await store.close()
