"""The list of `make defences`; taking them away one by one is that command's own work."""

from scripts.defences import ROOT, defences, text


def test_every_defence_names_one_line_and_a_test_that_are_there() -> None:
    for one in defences():
        assert (ROOT / one.file).read_text("utf-8").count(one.text) == 1, one.title
        path, _, name = one.test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / path).read_text("utf-8"), one.title


def test_titles_tell_defences_apart() -> None:
    titles = [one.title for one in defences()]
    assert len(titles) == len(set(titles))


def test_a_defence_that_no_test_misses_is_named() -> None:
    assert text({"a": True, "b": False}).endswith("| 2 | 1 | b |")
    assert text({"a": True}).endswith("| 1 | 1 | – |")
