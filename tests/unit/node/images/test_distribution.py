from pathlib import Path

from petset.node.images import distribution


def host(root: Path, release: str, **sources: str) -> distribution.Distribution:
    folder = root / "etc/apt/sources.list.d"
    folder.mkdir(parents=True)
    (root / "etc/os-release").write_text(release)
    for name, text in sources.items():
        path = root / "etc/apt/sources.list" if name == "main" else folder / name.replace("_", ".")
        path.write_text(text)
    return distribution.of_host(root)


DEBIAN = 'PRETTY_NAME="Debian 12"\nID=debian\nVERSION_CODENAME=bookworm\n'


def test_takes_the_distributions_own_sources_and_no_others(tmp_path: Path) -> None:
    found = host(
        tmp_path,
        DEBIAN,
        main="# deb http://old bookworm main\n"
        "deb [arch=amd64] http://mirror/debian bookworm main x\n"
        "deb-src http://mirror/debian bookworm main\n"
        "deb http://mirror/debian bookworm-backports main\n",
        docker_list="deb https://download.docker.com/linux/debian bookworm stable\n",
        node_sources="Types: deb\nURIs: https://node\nSuites: nodistro\nComponents: main\n",
        debian_sources=(
            "Types: deb deb-src\n# comment\nURIs: http://deb/debian\n"
            "Suites: bookworm bookworm-updates\nComponents: main contrib\n"
            "Signed-By: /usr/share/keyrings/d.gpg\n\n"
            "Enabled: no\nTypes: deb\nURIs: http://off\nSuites: bookworm\nComponents: main\n\n"
            "Types: deb\nURIs: http://sec\nSuites: bookworm-security\nComponents: main\n"
            "Signed-By:\n -----BEGIN PGP-----\n .\n"
        ),
    )
    assert (found.name, found.suite) == ("Debian 12", "bookworm")
    signed = "[signed-by=/usr/share/keyrings/d.gpg] "
    assert found.sources == (
        "deb [arch=amd64] http://mirror/debian bookworm main",
        f"deb {signed}http://deb/debian bookworm main",
        f"deb {signed}http://deb/debian bookworm-updates main",
        "deb http://sec bookworm-security main",
    )


def test_ubuntu_needs_universe(tmp_path: Path) -> None:
    found = host(
        tmp_path,
        'PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n',
        ubuntu_sources=(
            "Types: deb\nURIs: http://u/ubuntu\nSuites: noble noble-updates\n"
            "Components: main universe restricted\nSigned-By: /k.gpg\n"
        ),
    )
    assert found.suite == "noble"
    assert found.sources[0] == "deb [signed-by=/k.gpg] http://u/ubuntu noble main universe"


def test_derivatives_use_their_ancestors_packages(tmp_path: Path) -> None:
    release = (
        'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n'
    )
    found = host(tmp_path, release, main="deb http://u/ubuntu noble main universe\n")
    assert (found.suite, len(found.sources)) == ("noble", 1)


def test_other_distributions_use_debians_stable_release(tmp_path: Path) -> None:
    found = host(tmp_path, "ID=fedora\nVERSION_ID=42\n")
    assert (found.suite, found.sources) == ("stable", ())
    assert distribution.of_host(tmp_path / "nothing").suite == "stable"
