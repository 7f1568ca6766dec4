"""Links of the Markdown pages, as GitHub follows them."""

import re
from collections.abc import Iterator
from pathlib import Path

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def _pages(project: Path) -> Iterator[Path]:
    yield from project.glob("*.md")
    for name in (".github", "benchmarks", "docs"):
        yield from (project / name).rglob("*.md")


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", _FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def _broken(page: Path) -> Iterator[str]:
    for link in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            yield f"{page}: {link}"


def test_every_link_leads_somewhere(project: Path) -> None:
    """To a file or folder of the checkout, and to a heading of it where one is named."""
    pages = list(_pages(project))

    assert len(pages) > 20
    assert [link for page in pages for link in _broken(page)] == []
