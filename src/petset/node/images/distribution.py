"""Which packages this machine's distribution offers, and from where: text in, text out."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_COMPONENTS = {"debian": ("main",), "ubuntu": ("main", "universe")}
_POCKETS = ("", "-updates", "-security")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<rest>.+)")


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where packages come from.

    Attributes:
        name: for people (`Debian GNU/Linux 12 (bookworm)`).
        suite: its code name.
        sources: lines of a sources.list; none lets mmdebstrap use the distribution's own mirrors.
    """

    name: str
    suite: str
    sources: tuple[str, ...]


def of_host(root: Path = Path("/")) -> Distribution:
    """The distribution of the machine; of Debian's stable release where it is another one."""
    release = _os_release(root)
    family = release.get("ID", "")
    suite = release.get("VERSION_CODENAME", "")
    if family not in _COMPONENTS:
        family, suite = _ancestor(release)
    if not suite:
        return Distribution("Debian (stable)", "stable", ())
    wanted = {suite + pocket for pocket in _POCKETS}
    components = _COMPONENTS[family]
    lines = tuple(dict.fromkeys(_lines(root / "etc/apt", wanted, components)))
    return Distribution(release.get("PRETTY_NAME", family), suite, lines)


def _ancestor(release: Mapping[str, str]) -> tuple[str, str]:
    """Derivatives say whose packages they use."""
    if "ubuntu" in release.get("ID_LIKE", "") and release.get("UBUNTU_CODENAME"):
        return "ubuntu", release["UBUNTU_CODENAME"]
    if "debian" in release.get("ID_LIKE", "") and release.get("DEBIAN_CODENAME"):
        return "debian", release["DEBIAN_CODENAME"]
    return "debian", ""


def _os_release(root: Path) -> dict[str, str]:
    try:
        text = (root / "etc/os-release").read_text()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: "".join(shlex.split(value)) if value else "" for key, _, value in pairs}


def _lines(apt: Path, suites: set[str], components: tuple[str, ...]) -> Iterator[str]:
    folder = apt / "sources.list.d"
    for path in [apt / "sources.list", *sorted(folder.glob("*.list"))]:
        if path.is_file():
            yield from _from_lines(path.read_text(), suites, components)
    for path in sorted(folder.glob("*.sources")):
        yield from _from_stanzas(path.read_text(), suites, components)


def _from_lines(text: str, suites: set[str], components: tuple[str, ...]) -> Iterator[str]:
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match is None:
            continue
        suite, *offered = match["rest"].split()
        if suite in suites and components[0] in offered:
            options = f"[{match['options']}] " if match["options"] else ""
            yield f"deb {options}{match['uri']} {suite} {' '.join(components)}"


def _from_stanzas(text: str, suites: set[str], components: tuple[str, ...]) -> Iterator[str]:
    for stanza in re.split(r"\n\s*\n", text):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split():
            continue
        if components[0] not in fields.get("components", "").split():
            continue
        if fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        key = fields.get("signed-by", "")
        options = f"[signed-by={key}] " if key.startswith("/") else ""
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                if suite in suites:
                    yield f"deb {options}{uri} {suite} {' '.join(components)}"


def _fields(stanza: str) -> dict[str, str]:
    """The one-line fields of a stanza; of a longer one (a key in full) the first line."""
    fields = {}
    for line in stanza.splitlines():
        if line.startswith((" ", "\t", "#")) or ":" not in line:
            continue
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    return fields
