"""What docs/security.md names as a test or a place is there."""

import re

from conftest import ROOT

# What ends so is a file.
SUFFIXES = (".md", ".yaml", ".toml", ".lock", ".service", "run")


def test_every_row_of_the_security_document_names_something_that_exists():
    text = (ROOT / "docs/security.md").read_text()
    sources = [*(ROOT / "src").rglob("*.rs"), *(ROOT / "tests").rglob("*.rs"), *(ROOT / "tests").glob("*/*.py")]
    known = set()
    for source in sources:
        known |= set(re.findall(r"(?:fn|def) (\w+)\(", source.read_text()))
    missing = []
    for line in text.splitlines():
        if not line.startswith("| ") or line.startswith("| requirement") or line.startswith("| provision"):
            continue
        last = line.rstrip("| ").rsplit("|", 1)[-1]
        named = re.findall(r"`([^`]+)`", last)
        if not named and "**" not in last and not line.startswith("| who |"):
            missing.append(f"names nothing: {line[:60]}")
        for name in named:
            if "=" in name or " " in name:
                continue  # a setting or a command
            there = (ROOT / name).exists() if "/" in name or name.endswith(SUFFIXES) else name in known
            if not there:
                missing.append(name)
    assert not missing, missing
