"""What every code, check and log event means: the pages of the reference, which come with the package."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: In the wheel the pages stand beside this module; in a checkout, where people read them.
PACKAGED, CHECKOUT = Path(__file__).parent / "pages", Path(__file__).parents[2] / "docs" / "reference"
PAGES = ("errors.md", "checks.md", "doctor.md")
PREFIX = "ory_logout."


@dataclass(frozen=True)
class Explanation:
    """One row of a page: what it is called, where it stands, and what the row says."""

    name: str
    page: str
    section: str
    texts: tuple[str, ...]


def explain(name: str) -> list[Explanation]:
    """All that is said of an error code, the id of a check, or a code of the log; nothing for what there is not."""
    wanted = {name.strip(), f"{PREFIX}{name.strip()}"}
    return [one for one in explanations() if one.name in wanted]


@cache
def explanations() -> tuple[Explanation, ...]:
    """Every row of the reference."""
    directory = PACKAGED if PACKAGED.is_dir() else CHECKOUT
    return tuple(one for page in PAGES for one in rows(page, (directory / page).read_text(encoding="utf-8")))


def rows(page: str, text: str) -> Iterator[Explanation]:
    """The rows of the tables of ``text``, Markdown, that begin with a name in backticks."""
    section, above, header = "", list[str](), list[str]()
    for line in text.splitlines():
        if line.startswith("#"):
            section, above = line.lstrip("# "), []
        elif not line.startswith("|"):
            header, above = [], [*above, line]
        if not line.startswith("|"):
            continue
        cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        if not header:
            header = cells
        elif named := re.fullmatch(r"`([^`]+)`", cells[0]):
            texts = [f"{name}: {_plain(cell)}" for name, cell in zip(header[1:], cells[1:], strict=True) if cell]
            # A row that says little leans on what stands above its table.
            texts += [_plain(" ".join(above).strip())] if len(header) == 2 and any(above) else []
            yield Explanation(named[1], page, section, tuple(texts))


def _plain(markdown: str) -> str:
    """Without links and marks."""
    linked = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"\*+(\w[^*]*)\*+", r"\1", linked).replace("`", "")
