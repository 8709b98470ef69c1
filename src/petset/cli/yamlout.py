"""YAML as kubectl prints it: sorted keys, text of several lines as a block."""

from typing import Any

import yaml

_RESOLVER = yaml.resolver.Resolver()
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_DUMPER):  # type: ignore[valid-type,misc]
    """PyYAML's dumper with Go's taste in strings, and no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Every value is written where it stands."""
        return True


def _text(dumper: Any, text: str) -> Any:
    style = None
    if "\n" in text and not any(line.endswith(" ") for line in text.split("\n")):
        style = "|"
    elif text == "" or _is_other(text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _is_other(text: str) -> bool:
    """Whether YAML would read the plain text as something else than text."""
    tag = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return bool(tag != "tag:yaml.org,2002:str")


_Dumper.add_representer(str, _text)


def dump(obj: Any) -> str:
    """The YAML document of a JSON value."""
    text: str = yaml.dump(obj, Dumper=_Dumper, allow_unicode=True)
    return text
