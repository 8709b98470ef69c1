"""Kubeconfig files: the cluster's own, and its context in the user's file."""

import base64
import contextlib
import os
from pathlib import Path
from typing import Any

import yaml

from petset.cli import paths, state
from petset.cli.failure import Failure

_SECTIONS = ("clusters", "users", "contexts")


def context_name(cluster: str) -> str:
    """`petset` for the default cluster, else `petset-<name>`."""
    return "petset" if cluster == "default" else f"petset-{cluster}"


def content(where: paths.Paths, cluster: state.Cluster) -> dict[str, Any]:
    """A kubeconfig with the administrator's certificate inside."""
    name = context_name(cluster.name)
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": cluster.url,
                    "certificate-authority-data": _inline(where.pki / "ca.crt"),
                },
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _inline(where.pki / "admin.crt"),
                    "client-key-data": _inline(where.pki / "admin.key"),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def _inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def write(where: paths.Paths, cluster: state.Cluster, target: Path | None) -> None:
    """Write the cluster's kubeconfig, and to `target`, or merge it into the user's file."""
    config = content(where, cluster)
    text = yaml.safe_dump(config, sort_keys=False).encode()
    if not _same(where.kubeconfig, text):
        state.write_atomic(where.kubeconfig, text, 0o600)
    if target is not None:
        _write_as_owner(Path(os.path.realpath(target)), text)
    else:
        _change_user_file(context_name(cluster.name), config)


def remove(cluster: str) -> None:
    """Take the cluster's context, cluster and user out of the user's file."""
    path = user_file()
    state.drop_temporaries(path.resolve())
    if path.exists():
        _, known = _read_user_file(path)
        name = context_name(cluster)
        if any(e.get("name") == name for s in _SECTIONS for e in known.get(s) or []):
            _change_user_file(name, None)


def user_file() -> Path:
    """The user's kubeconfig: the first of $KUBECONFIG, else ~/.kube/config (also under sudo)."""
    first = (os.environ.get("KUBECONFIG") or "").split(os.pathsep)[0]
    if first:
        return Path(first)
    sudo_user = os.environ.get("SUDO_USER")
    home = Path(f"~{sudo_user}").expanduser() if sudo_user else Path.home()
    return home / ".kube" / "config"


def _same(path: Path, text: bytes) -> bool:
    with contextlib.suppress(OSError):
        return path.read_bytes() == text
    return False


def check() -> None:
    """Fail now if the user's file could not take a context later."""
    path = user_file()
    _read_user_file(path)
    if path.exists() and not os.access(path.resolve(), os.W_OK):
        raise Failure(f"{path} cannot be written", "mend it, or give --kubeconfig FILE")


def _read_user_file(path: Path) -> tuple[bytes, dict[str, Any]]:
    try:
        before = path.read_bytes()
        merged = yaml.safe_load(before) or {}
        if not isinstance(merged, dict):
            raise ValueError("not a mapping")
        for section in _SECTIONS:
            entries = merged.get(section) or []
            if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
                raise ValueError(f"{section} is no list of mappings")
    except FileNotFoundError:
        return b"", {"apiVersion": "v1", "kind": "Config", "preferences": {}}
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise Failure(
            f"{path} is no readable kubeconfig: {why}", "mend it, or give --kubeconfig FILE"
        ) from error
    return before, merged


def _change_user_file(name: str, config: dict[str, Any] | None) -> None:
    path = user_file()
    before, merged = _read_user_file(path)
    for section in _SECTIONS:
        others = [e for e in merged.get(section) or [] if e.get("name") != name]
        merged[section] = others + (config[section] if config else [])
    if config:
        merged["current-context"] = name
    elif merged.get("current-context") == name:
        merged["current-context"] = ""
    text = yaml.safe_dump(merged, sort_keys=False).encode()
    if text != before:
        _write_as_owner(path.resolve(), text)


def _write_as_owner(path: Path, text: bytes) -> None:
    """Write so that a file below somebody's home stays theirs, also when root writes it."""
    try:
        owner = path.stat()
        uid, gid = owner.st_uid, owner.st_gid
    except FileNotFoundError:
        uid, gid = _caller()
    if not path.parent.exists():
        path.parent.mkdir(parents=True)
        os.chown(path.parent, uid, gid)
    state.write_atomic(path, text, 0o600, owner=(uid, gid))


def _caller() -> tuple[int, int]:
    """Who typed the command: the user behind sudo, else ourselves."""
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if user.isdigit() and group.isdigit():
        return int(user), int(group)
    return os.geteuid(), os.getegid()
