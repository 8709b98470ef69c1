"""Makes a container's bundle: its root directory and its `config.json`; and takes it away again."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from petset.node.runtime import conmon, record, rootfs, spec, user
from petset.node.runtime.base import ContainerConfig, Run, RuntimeFailedError


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bundle lies, and where what the container writes does."""

    directory: Path
    storage: Path


def make(
    config: ContainerConfig,
    place: Place,
    *,
    namespaces: Mapping[str, str],
    machine: spec.Machine,
    finish: Callable[[dict[str, Any]], None],
) -> None:
    """Make the bundle; `finish` may change its configuration before it is written.

    Raises RuntimeFailedError, OSError, RootfsError, UnknownUserError.
    """
    root = place.directory / "rootfs"
    rootfs.mount(config.image.layers, storage=place.storage, target=root)
    who = _user(config, root)
    built = spec.build(config, who, root=str(root), namespaces=namespaces, machine=machine)
    if not any(name == "HOME" for name, _ in config.env):
        built["process"]["env"].append(f"HOME={who.home}")
    finish(built)
    (place.directory / "config.json").write_bytes(orjson.dumps(built))
    Path(config.log_path).parent.mkdir(parents=True, exist_ok=True)


def write_process(directory: Path, name: str, command: Sequence[str], *, tty: bool) -> Path:
    """Write down a command to run in the container, with all that its own process has.

    The runtimes leave out the user (crun 1.8 takes root) and whether privileges may grow unless
    they are told; so the command gets the container's process with other arguments.
    Raises RuntimeFailedError, OSError.
    """
    try:
        own = json.loads((directory / "config.json").read_bytes())["process"]
    except OSError as error:
        raise RuntimeFailedError(f"the container's own process is not known: {error}") from error
    env = own["env"]
    if tty and not any(line.startswith("TERM=") for line in env):
        env = [*env, "TERM=xterm"]
    file = directory / f"{name}.json"
    file.write_text(json.dumps({**own, "args": [*command], "env": env, "terminal": tty}))
    return file


def remove(directory: Path, storage: Path) -> None:
    """Unmount and remove it. Missing parts are fine."""
    rootfs.unmount(storage, directory / "rootfs")
    shutil.rmtree(directory, ignore_errors=True)


def order(config: ContainerConfig, directory: Path) -> conmon.Order:
    """What conmon is asked for."""
    return conmon.Order(
        config.id,
        config.name,
        directory,
        config.log_path,
        tty=config.tty,
        stdin=config.stdin,
        stdin_once=config.stdin_once,
    )


def drop(pod_dir: Path, run: Run) -> None:
    """Remove a run's record and logs."""
    record.file_of(pod_dir, run).unlink(missing_ok=True)
    log = Path(run.log_path)
    for file in log.parent.glob(log.name + "*"):
        file.unlink(missing_ok=True)


def _user(config: ContainerConfig, root: Path) -> user.User:
    security = config.security
    setting = config.image.user
    if security.user is not None:
        setting = str(security.user)
    who = user.resolve(setting, _text(root, "etc/passwd"), _text(root, "etc/group"))
    if security.group is not None:
        who = replace(who, gid=security.group)
    if security.run_as_non_root and security.user is None:
        if who.named:
            raise RuntimeFailedError(
                f"container has runAsNonRoot and image has non-numeric user ({setting}), "
                "cannot verify user is non-root",
                "CreateContainerConfigError",
            )
        if who.uid == 0:
            raise RuntimeFailedError(
                "container has runAsNonRoot and image will run as root",
                "CreateContainerConfigError",
            )
    return who


def _text(root: Path, name: str) -> str:
    """A file of the image; links in it are followed inside the image only."""
    path = root / name
    for _ in range(8):
        if not path.is_symlink():
            break
        target = path.readlink()
        path = root / str(target).lstrip("/") if target.is_absolute() else path.parent / target
    try:
        inside_root = path.resolve().is_relative_to(root.resolve())
        return path.read_text(errors="replace") if inside_root else ""
    except OSError:
        return ""
