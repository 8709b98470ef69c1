"""Building an image from a recipe: packages extracted by mmdebstrap, then dressed here.

Maintainer scripts never run: that keeps nothing-to-nginx under ten seconds, and what they would
have done (users, folders, configuration) is in the recipe. Needs root and the program mmdebstrap.
Invariant: a build that fails or is killed leaves no mount and no entry in the store.
"""

import gzip
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import orjson

from petset.base.clock import Clock
from petset.node.images import distribution
from petset.node.images.distribution import Distribution
from petset.node.images.local import Record, Store
from petset.node.images.manifest import Config
from petset.node.images.recipes import ORIGIN, Recipe, User

Tell = Callable[[str], None]

_MERGED = 'for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'
_FOLDERS = {
    "dev": 0o755,
    "etc": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "usr/local/bin": 0o755,
    "var/lib": 0o755,
    "var/log": 0o755,
    "var/tmp": 0o1777,
}
_REMOVED = (
    "dev/*",
    "etc/apt",
    "etc/dpkg",
    "etc/fstab",
    "etc/hostname",
    "etc/resolv.conf",
    "usr/share/doc/*",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale/*",
    "usr/share/man/*",
    "var/cache/*",
    "var/lib/apt",
    "var/lib/dpkg",
)
_APPLET_FOLDERS = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin")
_NOT_APPLETS = frozenset(("busybox", "dpkg", "dpkg-deb", "init", "linuxrc", "rpm", "rpm2cpio"))
_ROOT, _NOBODY = User("root", 0, "/root"), User("nobody", 65534)
_LINES_KEPT = 15


class BuildError(Exception):
    """An image cannot be built; the message says why, and what would help."""


def build(store: Store, recipe: Recipe, clock: Clock, tell: Tell) -> Record:
    """Build `recipe` into the store and tag it `latest`. Raises BuildError, StoreError."""
    source = distribution.of_host()
    _check()
    with store.scratch() as scratch:
        root = scratch / "root"
        tell(f"extracting {', '.join(recipe.packages)} from {source.name}")
        _extract(recipe, source, root, tell)
        version = _version(root, recipe.main)
        _dress(root, recipe, source)
        layer, size = _summary(root, recipe)
        tell(f"built {recipe.name} {version}: {size} bytes")
        store.adopt_layer(root, layer)
    config = _with_layer(recipe.config, layer, recipe.origin)
    identity = hashlib.sha256(orjson.dumps(config)).hexdigest()
    return store.put(
        Record(
            f"sha256:{identity}",
            (layer,),
            config,
            size=size,
            tags=tuple(f"{name}:latest" for name in recipe.names[:1]),
            recipe=recipe.name,
            note=f"{recipe.name} {version} of {source.name}",
            created=clock.now(),
        )
    )


def _check() -> None:
    if os.geteuid() != 0:
        raise BuildError("building an image from packages needs root")
    if shutil.which("mmdebstrap") is None:
        raise BuildError("the program mmdebstrap is missing: apt install mmdebstrap")


def _extract(recipe: Recipe, source: Distribution, root: Path, tell: Tell) -> None:
    """Run mmdebstrap in a mount namespace of its own, which takes its mounts along at the end."""
    command = [
        *("unshare", "--mount", "--propagation", "private", "mmdebstrap"),
        *("--mode=root", "--variant=extract", "--format=directory"),
        f"--include={','.join(recipe.packages)}",
        f"--setup-hook={_MERGED}",
        *("--", source.suite, str(root), *source.sources),
    ]
    environment = {**os.environ, "LC_ALL": "C", "TMPDIR": str(root.parent)}
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line.rstrip())
            if line.startswith("I: "):
                tell(line.removeprefix("I: ").rstrip())
    if process.returncode != 0:
        raise BuildError("mmdebstrap failed: " + "; ".join(lines[-_LINES_KEPT:]))


def _version(root: Path, package: str) -> str:
    """The version that a package's changelog begins with; "?" when it has none.

    `package` may be a pattern, where the name itself holds a version.
    """
    for path in sorted(root.glob(f"usr/share/doc/{package}/changelog*.gz")):
        with gzip.open(path, "rt", errors="replace") as log:
            version = log.readline().partition("(")[2].partition(")")[0]
        if version:
            return version
    return "?"


def _dress(root: Path, recipe: Recipe, source: Distribution) -> None:
    for pattern in (*_REMOVED, *recipe.remove):
        for path in root.glob(pattern):
            _remove(path)
    for name, mode in _FOLDERS.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(mode)
    _system_files(root, recipe, source)
    owners = {user.name: user.uid for user in (_ROOT, *recipe.users)}
    for folder in recipe.folders:
        path = _inside(root, folder.path)
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(folder.mode)
        os.chown(path, owners[folder.owner], owners[folder.owner])
    for file in recipe.files:
        path = _inside(root, file.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(path)
        _write(path, file.source.read_bytes(), file.mode)
    for name, target in recipe.links.items():
        _link(root, _inside(root, name), target)
    _certificates(root)
    _applets(root)


def _certificates(root: Path) -> None:
    """Join the authorities' certificates into the one file that OpenSSL looks for."""
    found = sorted((root / "usr/share/ca-certificates").glob("*/*.crt"))
    if found:
        bundle = root / "etc/ssl/certs/ca-certificates.crt"
        bundle.parent.mkdir(parents=True, exist_ok=True)
        _write(bundle, b"".join(path.read_bytes() for path in found), 0o644)
        _link(root, root / "usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")


def _system_files(root: Path, recipe: Recipe, source: Distribution) -> None:
    """What base packages would have made: users, groups, the order of name lookups."""
    users = (_ROOT, *recipe.users, _NOBODY)
    texts = {
        "passwd": [f"{u.name}:x:{u.uid}:{u.uid}::{u.home}:{_shell(u)}" for u in users],
        "group": [f"{u.name}:x:{u.uid}:" for u in users] + ["tty:x:5:"],
        "shadow": [f"{u.name}:*:19000:0:99999:7:::" for u in users],
        "nsswitch.conf": ["passwd: files", "group: files", "hosts: files dns"],
        "os-release": [f'PRETTY_NAME="petset {recipe.name} on {source.name}"', "ID=petset"],
        "hosts": [],
        "hostname": [],
        "resolv.conf": [],
    }
    for name, lines in texts.items():
        path = root / "etc" / name
        _remove(path)
        text = "".join(f"{line}\n" for line in lines)
        _write(path, text.encode(), 0o640 if name == "shadow" else 0o644)


def _shell(user: User) -> str:
    return "/bin/sh" if user.uid == 0 else "/usr/sbin/nologin"


def _applets(root: Path) -> None:
    """Link busybox under the name of every tool that no package brought."""
    busybox = root / "bin/busybox"
    if not busybox.exists():
        return
    listed = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        there = any(os.path.lexists(root / folder / name) for folder in _APPLET_FOLDERS)
        if not there and name not in _NOT_APPLETS:
            (root / "bin" / name).symlink_to("busybox")


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a file whose time tells nothing, so that the same build has the same id."""
    path.write_bytes(data)
    path.chmod(mode)
    os.utime(path, (0, 0))


def _link(root: Path, path: Path, target: str) -> None:
    if "*" in target:
        found = sorted(root.glob(target.lstrip("/")))
        if not found:
            raise BuildError(f"the packages hold nothing like {target}")
        target = f"/{found[-1].relative_to(root)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(path)
    path.symlink_to(target)


def _inside(root: Path, name: str) -> Path:
    path = root / name.lstrip("/")
    if ".." in path.parts:
        raise BuildError(f"the recipe names {name}, which leads outside")
    return path


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _summary(root: Path, recipe: Recipe) -> tuple[str, int]:
    """An id of what was built, and its size: of every path's attributes, not of its content.

    Packages carry their build's times, so another build of a package gives another id.
    """
    digest = hashlib.sha256(recipe.fingerprint.encode())
    size = 0
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted((*folders, *files)):
            path = Path(folder) / name
            status = path.lstat()
            kind = (status.st_mode, status.st_uid, status.st_gid)
            digest.update(repr((str(path.relative_to(root)), kind)).encode())
            if stat.S_ISREG(status.st_mode):
                digest.update(repr((status.st_size, int(status.st_mtime))).encode())
                size += status.st_size
    return f"sha256:{digest.hexdigest()}", size


def _with_layer(config: Config, layer: str, origin: str) -> Config:
    return Config(
        (layer,),
        config.entrypoint,
        config.cmd,
        config.env,
        config.working_dir,
        config.user,
        config.stop_signal,
        {**config.labels, ORIGIN: origin},
    )
