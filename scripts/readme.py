"""Copy results, and the short parts of leaderboard and experiments, from docs/ into the README.

Knows nothing of the numbers; `--check` only tells whether they are the same.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("results", "leaderboard")
HEADING, SHORT = "\n## ", "\n## In short\n"
"""What follows a page's first heading of the second rank stays in docs/."""


def filled(readme: str, name: str, text: str) -> str:
    """`readme` with what stands between the markers of that name replaced by `text`."""
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    if readme.count(start) != 1 or readme.count(end) != 1:
        sys.exit(f"README.md needs {start} and {end}, each once.")
    before, rest = readme.split(start)
    after = rest.split(end)[1]
    return f"{before}{start}\n{text.strip()}\n{end}{after}"


def main() -> None:
    """Rewrite README.md, or with `--check` exit with 1 if it would change."""
    readme = ROOT / "README.md"
    now = then = readme.read_text(encoding="utf-8")
    for name in PAGES:
        page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
        then = filled(then, name, page.partition(HEADING)[0])
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    then = filled(then, "experiments", page.partition(SHORT)[2].partition(HEADING)[0])
    if "--check" in sys.argv:
        sys.exit(0 if now == then else "README.md is older than its pages in docs/: `make readme`")
    readme.write_text(then, encoding="utf-8")


if __name__ == "__main__":
    main()
