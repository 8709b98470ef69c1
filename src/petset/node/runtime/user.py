"""Looks up users and groups as the image's own /etc/passwd and /etc/group have them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass


class UnknownUserError(Exception):
    """The image's user setting names nobody in its passwd or group file."""


@dataclass(frozen=True, slots=True)
class User:
    """Who a container runs as. `named` tells that the image gave a name, not a number."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"
    named: bool = False


def _rows(text: str, width: int) -> Iterable[list[str]]:
    for line in text.splitlines():
        row = line.split(":")
        if len(row) >= width and not line.startswith("#"):
            yield row


def resolve(setting: str, passwd: str, group: str) -> User:
    """The user of an image's `user[:group]` setting, "" meaning root.

    Args:
        passwd: text of the image's /etc/passwd, "" if it has none.
        group: text of its /etc/group.

    Raises UnknownUserError for a name that is in neither.
    """
    name, _, group_name = (setting or "0").partition(":")
    row = next((r for r in _rows(passwd, 4) if name in (r[0], r[2])), None)
    if row is None and not name.isdigit():
        raise UnknownUserError(f"unable to find user {name}: no matching entries in passwd file")
    uid = int(row[2]) if row else int(name)
    gid = int(row[3]) if row else 0
    extra: tuple[int, ...] = ()
    if group_name:
        gid = _group_id(group_name, group)
    elif row:
        extra = supplementary(row[0], group)
    home = row[5] if row and len(row) > 5 and row[5] else "/"
    return User(uid, gid, tuple(g for g in extra if g != gid), home, named=not name.isdigit())


def _group_id(name: str, group: str) -> int:
    row = next((r for r in _rows(group, 3) if name in (r[0], r[2])), None)
    if row is not None:
        return int(row[2])
    if name.isdigit():
        return int(name)
    raise UnknownUserError(f"unable to find group {name}: no matching entries in group file")


def supplementary(user: str, group: str) -> tuple[int, ...]:
    """Groups that list `user` as a member."""
    return tuple(
        int(row[2]) for row in _rows(group, 4) if user in row[3].split(",") and row[2].isdigit()
    )
