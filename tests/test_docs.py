"""The code in the documentation runs, and its links lead somewhere."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```.*$", re.M)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize(("page", "least"), [("tutorial", 21), ("numba", 21), ("gpu", 10)])
def test_code_of(page, least):
    path = ROOT / "docs" / f"{page}.md"
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    test = doctest.DocTestParser().get_doctest(
        text, {"__name__": "__main__"}, path.name, str(path), 0
    )
    assert len(test.examples) >= least
    output: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=output.append)
    assert not failed, "".join(output)


def test_readme():
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {"__name__": "__main__"}
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102
        assert names


PAGES = [
    p
    for folder in (".", "docs", "sht", "llvm", "enzyme_rules")
    for p in (ROOT / folder).glob("*.md")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links(page):
    prose = re.sub(r"^```.*?^```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)#]+)", prose):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link
