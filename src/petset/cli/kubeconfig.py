"""Kubeconfig files: the cluster's own, and its context in the user's file."""

import base64
import contextlib
import os
from pathlib import Path
from typing import Any

import yaml

from petset.cli import paths, pki, state
from petset.cli.failure import Failure


def context_name(cluster: str) -> str:
    """`petset` for the default cluster, else `petset-<name>`."""
    return "petset" if cluster == "default" else f"petset-{cluster}"


def content(where: paths.Paths, cluster: state.Cluster) -> dict[str, Any]:
    """A kubeconfig with the administrator's certificate inside."""
    name = context_name(cluster.name)
    admin = pki.pair(where.pki, "admin")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": cluster.url,
                    "certificate-authority-data": _inline(pki.pair(where.pki, "ca").cert),
                },
            }
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _inline(admin.cert),
                    "client-key-data": _inline(admin.key),
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
        target.parent.mkdir(parents=True, exist_ok=True)
        state.write_atomic(target, text, 0o600)
    else:
        _change_user_file(context_name(cluster.name), config)


def remove(cluster: str) -> None:
    """Take the cluster's context, cluster and user out of the user's file."""
    if user_file().exists():
        _change_user_file(context_name(cluster), None)


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


def _change_user_file(name: str, config: dict[str, Any] | None) -> None:
    path = user_file()
    try:
        before = path.read_bytes()
        merged = yaml.safe_load(before) or {}
        if not isinstance(merged, dict):
            raise ValueError("not a mapping")
    except FileNotFoundError:
        before, merged = b"", {"apiVersion": "v1", "kind": "Config", "preferences": {}}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Failure(
            f"{path} is no readable kubeconfig: {error}", "mend it, or give --kubeconfig FILE"
        ) from error
    for section in ("clusters", "users", "contexts"):
        others = [e for e in merged.get(section) or [] if e.get("name") != name]
        merged[section] = others + (config[section] if config else [])
    if config:
        merged["current-context"] = name
    elif merged.get("current-context") == name:
        merged["current-context"] = ""
    text = yaml.safe_dump(merged, sort_keys=False).encode()
    if text != before:
        _write_as_owner(path, text)


def _write_as_owner(path: Path, text: bytes) -> None:
    """Write so that a file below somebody's home stays theirs, also when root writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state.write_atomic(path, text, 0o600)
    identity = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if identity[0] and identity[1]:
        for changed in (path, path.parent):
            os.chown(changed, int(identity[0]), int(identity[1]))
