"""Which tags name a release, as far as can be told without asking a registry. Pure.

A recipe builds what the distribution has, whatever version is asked for. It must not do so for a
tag that no registry has, as in `nginx:brokn`: a roll-out of that has to fail.
"""

import re

_WORDS = """
    latest stable mainline lts edge current rolling
    slim alpine debian ubuntu distroless scratch full minimal
    buster bullseye bookworm trixie forky sid bionic focal jammy noble resolute
    musl glibc uclibc perl otel management bundle onbuild unprivileged fpm
    rc alpha beta ubi el r p
    amd64 arm64 arm64v8 arm32v5 arm32v6 arm32v7 i386 ppc64le riscv64 s390x
"""
_WORD = "|".join(_WORDS.split())
_NUMBER = r"\d+(?:\.\d+)*"
_PART = re.compile(rf"v?{_NUMBER}\w*|(?:{_WORD})(?:{_NUMBER})?", re.ASCII | re.IGNORECASE)
_BETWEEN = re.compile(r"[-_]")


def is_release(tag: str) -> bool:
    """Whether every part of the tag is a version, or a word known from tags of releases."""
    return all(_PART.fullmatch(part) for part in _BETWEEN.split(tag))
