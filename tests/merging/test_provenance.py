"""Metadata in a model's folder; a README without any is no error."""

from pathlib import Path

import pytest

from dppa_core.preflight_checks.licences import merged_licence
from dppa_core.preflight_checks.provenance import parent_of


def test_the_licence_stands_in_the_front_matter(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\ntags: [a]\n---\n# Model\n", "utf-8")
    assert parent_of("zoo:math", tmp_path).licence == "mit"


def test_a_licence_of_its_own_is_told_from_others(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("---\nlicense: other\nlicense_name: tiny-1.0\n---\n", "utf-8")
    assert parent_of("a", tmp_path).licence == "other (tiny-1.0)"
    readme.write_text("---\nlicense: other\n---\n", "utf-8")
    first, second = (parent_of(name, tmp_path).licence for name in "ab")
    assert first != second
    assert merged_licence({"a": first, "b": second}).identifier == "other"
    assert merged_licence({"a": first, "b": second}).warnings


@pytest.mark.parametrize(
    "text",
    [
        "# A card without front matter",
        "---\ntags: [a]\n---\n",
        "---\nlicense: [mit, apache-2.0]\n---\n",
        "---\nlicense: '  '\n---\n",
        "---\nlicense: [\n---\n",
        "---\n- a list\n---\n",
        "---\n" + "[" * 5000,
        "",
    ],
    ids=["none", "silent", "list", "blank", "broken", "no mapping", "deep", "empty"],
)
def test_a_readme_that_says_nothing_usable_gives_no_licence(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(text, "utf-8")
    assert parent_of("x", tmp_path).licence is None


def test_no_readme_or_no_text_gives_no_licence(tmp_path: Path) -> None:
    assert parent_of("x", tmp_path).licence is None
    (tmp_path / "README.md").write_bytes(b"---\nlicense: \xff\n---\n")
    assert parent_of("x", tmp_path).licence is None


def test_the_embedded_models_state_theirs() -> None:
    zoo = Path(__file__).resolve().parents[2] / "assets" / "zoo"
    for name in ("base", "math", "finance", "law"):
        assert parent_of(f"zoo:{name}", zoo / name).licence == "apache-2.0"
