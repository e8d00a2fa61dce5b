"""Explanations of error codes, checks and log events, read from the reference pages in the package."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: The wheel has the pages next to this module. A checkout has them in ``docs``.
PACKAGED, CHECKOUT = Path(__file__).parent / "pages", Path(__file__).parents[2] / "docs" / "reference"
PAGES = ("errors.md", "checks.md", "doctor.md")
PREFIX = "ory_logout."


@dataclass(frozen=True)
class Explanation:
    """One row of a page: its name, page and section, and the texts of its cells."""

    name: str
    page: str
    section: str
    texts: tuple[str, ...]


def explain(name: str) -> list[Explanation]:
    """Every row about ``name``: an error code, the id of a check, or a log event. Empty if there is none."""
    names = {name.strip(), f"{PREFIX}{name.strip()}"}
    return [explanation for explanation in explanations() if explanation.name in names]


@cache
def explanations() -> tuple[Explanation, ...]:
    """Every row of the reference."""
    directory = PACKAGED if PACKAGED.is_dir() else CHECKOUT
    texts = {page: (directory / page).read_text(encoding="utf-8") for page in PAGES}
    return tuple(row for page, text in texts.items() for row in rows(page, text))


def rows(page: str, text: str) -> Iterator[Explanation]:
    """The rows of the tables in ``text`` (Markdown) that begin with a name in backticks."""
    section, introduction, header = "", list[str](), list[str]()
    for line in text.splitlines():
        if line.startswith("#"):
            section, introduction = line.lstrip("# "), []
        elif not line.startswith("|"):
            header, introduction = [], [*introduction, line]
        if not line.startswith("|"):
            continue
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        if not header:
            header = cells
        elif match := re.fullmatch(r"`([^`]+)`", cells[0]):
            texts = [f"{name}: {_plain(cell)}" for name, cell in zip(header[1:], cells[1:], strict=True) if cell]
            # In a table of two columns, the text above the table belongs to each row.
            texts += [_plain(" ".join(introduction).strip())] if len(header) == 2 and any(introduction) else []
            yield Explanation(match[1], page, section, tuple(texts))


def _plain(markdown: str) -> str:
    """``markdown`` without its links and marks."""
    without_links = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"\*+(\w[^*]*)\*+", r"\1", without_links).replace("`", "")
