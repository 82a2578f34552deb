"""Run the search that lab/docs/search.md describes, and write its results.

    python lab/scripts/search.py [--of FILE]     (make search)

--of writes the figures of an earlier run: one object as `--json` gives it, plus
`seconds` and `processor_seconds`.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE, RECIPE, OUT = ROOT / "docs" / "search.md", "lab/recipes/search.yaml", "out/searched.yaml"
DATA = PAGE.with_suffix(".json")
"""What the overview of the experiments tells of it."""
MARKS = "<!-- search:start -->", "<!-- search:end -->"


def run() -> dict[str, Any]:
    """The search, timed; continues a stopped one."""
    (ROOT / "out").mkdir(exist_ok=True)
    command = [sys.executable, "-m", "dppa_core", "search", RECIPE, "--out", OUT]
    begun = time.perf_counter()
    done = subprocess.run(
        [*command, "--overwrite", "--json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = {
        "seconds": time.perf_counter() - begun,
        "processor_seconds": used.ru_utime + used.ru_stime,
    }
    return json.loads(done.stdout) | times


def block(found: dict[str, Any]) -> str:
    """Factors, the test split, and the claim, as Markdown."""
    lines = [
        f"`dppa search {RECIPE} --out {OUT}`: {found['items']} search items a domain, "
        f"{sum(len(one['trials']) for one in found['models'])} settings, "
        f"{found['seconds'] / 60:.1f} minutes beside other work, "
        f"{found['processor_seconds']:.0f} s of processor, the test at the end included.",
        "",
        "| model | factors (strongest / next band, ×) | score on the search items | tried |",
        "| --- | --- | --- | --- |",
    ]
    for one in found["models"]:
        factors = " / ".join(f"{factor:g}" for factor in one["factors"])
        lines.append(f"| {one['domain']} | {factors} | {one['score']:.3f} | {len(one['trials'])} |")
    return "\n".join([*lines, "", *_alone(found["test"]), "", *_merged(found)])


def _alone(test: list[dict[str, Any]]) -> list[str]:
    """Each model by itself, as in the paper's claim."""
    lines = [
        "| each alone, test split | n | base % | domain model % | pruned % | retention % | "
        "kept % | claim |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in test:
        low, high = one["retention_ci95"]
        cells = [_share(one[name]) for name in ("base", "own", "alone")]
        kept = f"{100 * one['retention']:.1f} ({100 * low:.1f}–{100 * high:.1f})"
        cells += [kept, f"{100 * one['density']:.1f}", one["claim"]]
        lines.append(f"| {one['domain']} | {one['own']['n']} | {' | '.join(cells)} |")
    return lines


def _merged(found: dict[str, Any]) -> list[str]:
    """All models in one merge, compared with merges without a search."""
    beside = found["beside"]
    head = ["all in one, test split", "what was found %", *(f"{one['name']} %" for one in beside)]
    lines = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for one in found["test"]:
        others = [_share(other["domains"][one["domain"]]) for other in beside]
        lines.append(f"| {one['domain']} | {' | '.join([_share(one['merged']), *others])} |")
    kept = [_kept(one["retention"]) for one in (found, *beside)]
    lines += [f"| mean retention (geometric) | {' | '.join(kept)} |", ""]
    return [*lines, " ".join(one["sentence"] for one in beside)]


def _kept(figure: dict[str, Any]) -> str:
    low, high = figure["ci95"]
    return f"{100 * figure['value']:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _share(score: dict[str, Any]) -> str:
    low, high = score["ci95"]
    return f"{100 * score['accuracy']:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def main() -> None:
    """Run or read, and write."""
    if sys.argv[1:2] == ["--of"]:
        found = json.loads(Path(sys.argv[2]).read_text("utf-8"))
    else:
        found = run()
    kept = {name: found[name] for name in ("items", "retention", "beside")}
    DATA.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", "utf-8")
    before, _, rest = PAGE.read_text("utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    PAGE.write_text(f"{before}{MARKS[0]}\n{block(found)}\n{MARKS[1]}{after}", "utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {found['seconds']:.0f} s\n")


if __name__ == "__main__":
    main()
