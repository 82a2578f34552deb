"""Licences in a card: one, several compatible ones, several incompatible ones."""

from dppa_core.preflight_checks.licences import PERMISSIVE, merged_licence


def test_one_licence_for_all_stays_and_warns_of_nothing() -> None:
    licence = merged_licence({"base": "llama2", "math": "Llama2"})
    assert licence.identifier == "llama2"
    assert licence.warnings == ()


def test_permissive_licences_give_the_one_that_asks_for_most() -> None:
    licence = merged_licence({"base": "mit", "math": "apache-2.0", "law": "cc0-1.0"})
    assert licence.identifier == "apache-2.0"
    assert licence.warnings == ()


def test_one_restrictive_licence_covers_the_whole_and_is_named() -> None:
    licence = merged_licence({"base": "apache-2.0", "law": "cc-by-nc-4.0"})
    assert licence.identifier == "cc-by-nc-4.0"
    assert len(licence.warnings) == 1
    assert "cc-by-nc-4.0 of law" in licence.warnings[0]


def test_two_restrictive_licences_are_a_conflict_that_names_both() -> None:
    licence = merged_licence({"base": "llama2", "law": "gpl-3.0", "math": "llama2"})
    assert licence.identifier == "other"
    assert "gpl-3.0 of law" in licence.warnings[0]
    assert "llama2 of base, math" in licence.warnings[0]


def test_a_parent_without_a_licence_leaves_the_field_open_and_is_named() -> None:
    licence = merged_licence({"base": "mit", "law": None})
    assert licence.identifier is None
    assert licence.unstated == ("law",)
    assert licence.warnings == ()


def test_the_order_of_the_parents_does_not_matter() -> None:
    forth = merged_licence({"a": "mit", "b": "gpl-3.0", "c": "llama2"})
    back = merged_licence({"c": "llama2", "b": "gpl-3.0", "a": "mit"})
    assert forth == back


def test_every_permissive_licence_stands_alone() -> None:
    for licence in PERMISSIVE:
        assert merged_licence({"a": licence}).identifier == licence
