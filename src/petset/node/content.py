"""Finds the pods whose volumes show a ConfigMap or Secret that has changed.

Caches of these resources exist only while, or after, some pod of the node mounts one of them.
"""

from collections.abc import Callable

from petset.api.meta import Obj, name_of, namespace_of, uid_of
from petset.client.reflector import Informers
from petset.node import podspec
from petset.node.volume import files

Key = tuple[str, str, str]


class ContentWatch:
    """Follows what the volumes of this node's pods show.

    Args:
        changed: told the uid of a pod whose volumes must be looked at.
    """

    def __init__(self, informers: Informers, changed: Callable[[str], None]) -> None:
        self._informers = informers
        self._changed = changed
        self._users: dict[Key, set[str]] = {}
        self._watched: set[str] = set()

    def follow(self, pod: Obj) -> None:
        """Watch what `pod` mounts."""
        for volume in podspec.spec_of(pod).get("volumes") or ():
            for resource, name in files.references(volume):
                key = (resource, namespace_of(pod), name)
                self._users.setdefault(key, set()).add(uid_of(pod))
                self._watch(resource)

    def leave(self, uid: str) -> None:
        """Forget a pod."""
        for key in [k for k, users in self._users.items() if uid in users]:
            self._users[key].discard(uid)
            if not self._users[key]:
                del self._users[key]

    def _watch(self, resource: str) -> None:
        if resource in self._watched:
            return
        self._watched.add(resource)

        def handler(old: Obj | None, new: Obj | None) -> None:
            obj = new or old
            assert obj is not None
            for uid in list(self._users.get((resource, namespace_of(obj), name_of(obj)), ())):
                self._changed(uid)

        self._informers.cache(resource).add_handler(handler)
