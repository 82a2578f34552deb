"""Copy docs/results.md into the README, between its two markers.

Knows nothing of the numbers; `--check` only tells whether they are the same.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START, END = "<!-- results:start -->", "<!-- results:end -->"


def filled(readme: str, results: str) -> str:
    """`readme` with what stands between the markers replaced by `results`."""
    if readme.count(START) != 1 or readme.count(END) != 1:
        sys.exit(f"README.md needs {START} and {END}, each once.")
    before, rest = readme.split(START)
    after = rest.split(END)[1]
    return f"{before}{START}\n{results.strip()}\n{END}{after}"


def main() -> None:
    """Rewrite README.md, or with `--check` exit with 1 if it would change."""
    readme = ROOT / "README.md"
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    now = readme.read_text(encoding="utf-8")
    then = filled(now, results)
    if "--check" in sys.argv:
        sys.exit(0 if now == then else "README.md is older than docs/results.md: run `make readme`")
    readme.write_text(then, encoding="utf-8")


if __name__ == "__main__":
    main()
