"""Every rule of `rules.md` is shown by a golden file; `GOLDEN=1` writes down which ones."""

from collections import defaultdict
from pathlib import Path

import yaml

from tests.scenarios import golden, stage

HERE = Path(__file__).parent
RULES = HERE / "rules.md"
HEAD = "| rule | what it says | files |\n|---|---|---|\n"


def known() -> dict[str, str]:
    """What each rule says."""
    rows = RULES.read_text().partition(HEAD)[2].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {rule: says for rule, says, _ in cells}


def shown() -> dict[str, list[str]]:
    """The files that show each rule, as links."""
    found: dict[str, set[Path]] = defaultdict(set)
    for path in HERE.glob("*/stories/*.yaml"):
        for story in stage.stories(path):
            assert story["rules"], story["title"]
            for rule in story["rules"]:
                found[str(rule)].add(path)
    for path in HERE.glob("statefulset/cases/*.yaml"):
        for case in yaml.safe_load(path.read_text()):
            rule = case["title"].split()[0]
            if rule in known():
                found[rule].add(path)
    return {rule: sorted(map(link, paths)) for rule, paths in found.items()}


def link(path: Path) -> str:
    """A file of this folder."""
    where = path.relative_to(HERE)
    return f"[{where.parts[0]}/{path.stem}]({where})"


def test_every_rule_is_shown_and_every_rule_that_is_shown_is_known() -> None:
    found = shown()
    assert len(known()) > 100
    assert found.keys() == known().keys()


def test_the_table_names_the_files() -> None:
    found = shown()
    rows = (f"| {rule} | {says} | {', '.join(found[rule])} |\n" for rule, says in known().items())
    golden.compare(RULES, RULES.read_text().partition(HEAD)[0] + HEAD + "".join(rows))
