"""The model card: front matter for the Hub, licences, kept shares, hashes, plots."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from markdown_it import MarkdownIt

from dppa_core.charts.heatmap import shade
from dppa_core.charts.svg import ink_on
from dppa_core.checkpoints.fingerprints import fingerprints, one_fingerprint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import DamagedCheckpoint, DppaError, MissingCheckpoint
from dppa_core.merging.cards.card import card_plots, model_card
from dppa_core.merging.cards.record import (
    KeptModule,
    MergeRecord,
    Origins,
    read_record,
    write_record,
)
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.verify import check_merge, read_merge
from dppa_core.preflight_checks.provenance import Parent
from dppa_core.pruning.share_plot import share_svg
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe
from tests.helpers.command import Command

PINNED = "hub:owner/base@" + "a" * 40


def front(card: str) -> dict[str, object]:
    values = yaml.safe_load(card.split("---")[1])
    assert isinstance(values, dict)
    return values


def recipe(base: str = "zoo:base", model: str = "zoo:math") -> MergeRecipe:
    return MergeRecipe(base, (DomainModel(model, (0.9, 0.8), (1.5, 1.0), 0.7),))


def test_models_of_the_hub_are_listed_as_parents_without_their_revision() -> None:
    values = front(model_card(recipe(PINNED, "hub:other/law@main")))
    assert values["base_model"] == ["owner/base", "other/law"]
    assert values["base_model_relation"] == "merge"


def test_models_the_hub_does_not_know_are_no_parents_there() -> None:
    values = front(model_card(recipe()))
    assert "base_model" not in values and "base_model_relation" not in values


def test_adapters_are_named_and_are_parents_too() -> None:
    adapted = f"{PINNED}+hub:some/math-lora@{'b' * 40}"
    card = model_card(recipe(PINNED, adapted))
    assert front(card)["base_model"] == ["owner/base", "some/math-lora"]
    assert "# base merged with base+math-lora\n" in card


def test_what_a_pack_was_made_of_is_a_parent_too() -> None:
    pack = Parent("packs/math.safetensors", "mit", ("hub:some/math@main", "zoo:law"))
    card = model_card(recipe(PINNED, f"{PINNED}+packs/math.safetensors"), MergeRecord((pack,)))
    assert front(card)["base_model"] == ["owner/base", "some/math"]


def test_a_licence_of_its_own_keeps_its_name() -> None:
    values = front(model_card(recipe(), MergeRecord((Parent("zoo:base", "other (tiny-1.0)"),))))
    assert (values["license"], values["license_name"]) == ("other", "tiny-1.0")


def test_the_licence_is_the_parents() -> None:
    parents = (Parent("zoo:base", "apache-2.0"), Parent("zoo:math", "mit"))
    card = model_card(recipe(), MergeRecord(parents))
    assert front(card)["license"] == "apache-2.0"
    assert "| `zoo:math` | mit |" in card


def test_a_conflict_of_licences_is_said_in_bold() -> None:
    parents = (Parent("zoo:base", "llama2"), Parent("zoo:math", "gpl-3.0"))
    card = model_card(recipe(), MergeRecord(parents))
    assert front(card)["license"] == "other"
    assert "**The parents' licences differ" in card


def test_a_parent_without_a_licence_is_shown_as_such() -> None:
    card = model_card(recipe(), MergeRecord((Parent("zoo:base", "mit"), Parent("zoo:math", None))))
    assert "license" not in front(card)
    assert "| `zoo:math` | not stated |" in card and "Ask the authors" in card


def test_the_text_of_a_calibration_is_named_where_none_was_chosen() -> None:
    models = (DomainModel("zoo:math"), DomainModel("zoo:law"))
    card = model_card(MergeRecipe("zoo:base", models, "fisher"))
    text = "`zoo:math` on questions of math (train split), at most 4096 tokens; `zoo:law` on"
    assert f"Calibrated: {text}" in card
    assert "Calibrated" not in model_card(recipe())


def test_the_table_shows_what_was_set() -> None:
    assert "| `zoo:math` | 0.9, 0.8 | 1.5, 1 | 0.7 | - | - |" in model_card(recipe())


def test_a_reference_cannot_break_the_table() -> None:
    card = model_card(recipe(model="a|b`c"))
    assert "| `a\\|b'c` |" in card


def test_no_name_or_licence_is_markup() -> None:
    """In heading, table, plots, origins, licences and recipe; by CommonMark's rules."""
    bad = "x/<img src=a onerror=b> <script>c</script> & [d](http://e) *f* <u> " + 30 * " ````"
    named, parent = recipe(bad, bad), Parent(bad, "<b>f</b>\n\n<hr>")
    record = MergeRecord(
        parents=(parent, Parent("zoo:math", "<i>g</i>")),
        origins=Origins(bad, f"of {bad}, the base", bad),
        warnings=(bad,),
        modules=kept(1, 2),
    )
    text = model_card(named, record).split("---\n", 2)[2]
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inner = [part for token in tokens for part in (token, *(token.children or ()))]
    assert not [token for token in inner if token.type in ("html_block", "html_inline")]
    links = [token.attrs["href"] for token in inner if token.type == "link_open"]
    assert links == ["https://arxiv.org/abs/2403.02799"]
    (fence,) = (token for token in inner if token.type == "fence" and token.info == "yaml")
    assert fence.content == dump_recipe(named)
    for licence in ("a\nbase_model: b", 'other (a"\nbase_model: b)'):
        header = front(model_card(recipe(), MergeRecord(parents=(Parent("zoo:base", licence),))))
        assert licence in (header["license"], f"other ({header.get('license_name')})")


def kept(*shares: int) -> tuple[KeptModule, ...]:
    """Modules of 100 elements in two layers, with given numbers kept."""
    kinds = ("q", "k")
    return tuple(
        KeptModule(f"layers.{n // 2}.{kinds[n % 2]}", n // 2, kinds[n % 2], 100, (share,))
        for n, share in enumerate(shares)
    )


def test_the_table_shows_what_was_kept() -> None:
    record = MergeRecord(modules=kept(10, 20, 30, 40), energies=(0.5,))
    assert "| 0.7 | 25.00% | 50.00% |" in model_card(recipe(), record)


def test_a_plot_for_each_model_that_is_pruned() -> None:
    record = MergeRecord(modules=kept(10, 20, 30, 40))
    assert list(card_plots(recipe(), record)) == ["density-1.svg"]
    card = model_card(recipe(model="zoo:math_2"), record)
    assert "![math\\_2: share of each matrix's changes kept](density-1.svg)" in card
    assert not card_plots(recipe(), MergeRecord(modules=kept(100, 100)))
    assert ".svg" not in model_card(recipe(), MergeRecord(modules=kept(100, 100)))


def test_experts_of_one_kind_share_a_cell() -> None:
    dense, sparse = kept(10, 20)
    record = MergeRecord(modules=(dense, KeptModule("layers.0.q2", 0, "q", 300, (90,)), sparse))
    assert record.shares(0) == {(0, "q"): 0.25, (0, "k"): 0.2}


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [item.text or "" for item in root.iter("{http://www.w3.org/2000/svg}text")]


def test_a_plot_names_its_axes_and_shows_every_number() -> None:
    svg = share_svg("a<b", {(0, "q"): 0.125, (0, "k"): 0.2, (7, "q"): 1.0})
    labels = texts(svg)
    assert labels[0] == "a<b: share of each matrix's changes kept"
    assert {"layer", "0", "7", "q", "k", "12.5", "20.0", "100.0", "0 %", "50 %", "100 %"} <= {
        *labels
    }
    assert svg == share_svg("a<b", {(0, "q"): 0.125, (0, "k"): 0.2, (7, "q"): 1.0})
    assert svg.count('class="empty"') == 1  # layer 7 has no k
    assert "prefers-color-scheme:dark" in svg


def test_a_plot_of_many_layers_has_no_numbers_and_every_fifth_layer() -> None:
    labels = texts(share_svg("m", {(layer, "q"): 0.123 for layer in range(80)}))
    assert "12.3" not in labels and {"0", "5", "75"} <= {*labels} and "4" not in labels


def test_every_number_stands_out_from_its_cell() -> None:
    """A contrast of 4.5 at least, as WCAG 2 counts it."""

    def luminance(colour: tuple[int, int, int]) -> float:
        parts = [part / 255 for part in colour]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for step in range(101):
        ground = luminance(shade(step / 100))
        ink = 0.0 if ink_on(shade(step / 100)) == "on-low" else 1.0
        high, low = max(ground, ink), min(ground, ink)
        assert (high + 0.05) / (low + 0.05) >= 4.5, step


@pytest.fixture(scope="module")
def merged(tiny_zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A merged folder. Read only."""
    out = tmp_path_factory.mktemp("merged") / "out"
    models = tuple(DomainModel(str(tiny_zoo / name), (0.9, 0.8)) for name in ("math", "law"))
    merge_to_folder(MergeRecipe(str(tiny_zoo / "base"), models), out, sync=False)
    return out


@pytest.fixture
def copied(merged: Path, tmp_path: Path) -> Path:
    (tmp_path / "copy").mkdir()
    for path in merged.iterdir():
        (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    return tmp_path / "copy"


def test_the_record_lists_every_tensor_as_it_is_on_disk(merged: Path) -> None:
    record = read_record(merged)
    assert record.tensors == fingerprints(open_checkpoint(str(merged)))
    assert record.digest == one_fingerprint(record.tensors)
    assert record.digest in (merged / "README.md").read_text("utf-8")
    assert record.density(0) == pytest.approx(0.2, abs=1e-3)


def test_the_digest_is_the_same_in_shards(merged: Path, tmp_path: Path) -> None:
    recipe = read_merge(merged).recipe
    report = merge_to_folder(recipe, tmp_path / "shards", shard_size=20_000, sync=False)
    assert len(report.files) > 2 and report.digest == read_record(merged).digest
    check_merge(tmp_path / "shards")


def test_plots_lie_beside_the_card(merged: Path) -> None:
    merge = read_merge(merged)
    for file, text in card_plots(merge.recipe, merge.record).items():
        assert (merged / file).read_text("utf-8") == text
    assert sorted(path.name for path in merged.glob("*.svg")) == ["density-1.svg", "density-2.svg"]


def test_a_card_is_made_again_from_the_folder(merged: Path, dppa: Command, tmp_path: Path) -> None:
    assert dppa("card", merged, "--check") == 0
    assert dppa.out == (merged / "README.md").read_text("utf-8")
    assert dppa("card", merged, "--out", tmp_path / "new", "--json") == 0
    assert set(dppa.json) == {"card", "plots", "digest"}
    for path in (tmp_path / "new").iterdir():
        assert path.read_bytes() == (merged / path.name).read_bytes()
    assert dppa("card", merged, "--out", tmp_path / "new") == 1
    assert "already exists" in dppa.err


def test_the_card_of_a_recipe_is_that_of_its_merge_without_hashes(
    merged: Path, dppa: Command
) -> None:
    assert dppa("card", merged / "recipe.yaml") == 0
    before, after = dppa.out, (merged / "README.md").read_text("utf-8")
    start, end = after.index("## Weights"), after.index("## Make it again")
    assert before == after[:start] + after[end:]
    assert dppa("card", merged / "recipe.yaml", "--check") == 2


def flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def edit_record(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        values = json.loads((folder / "merge.json").read_text("utf-8"))
        change(values)
        (folder / "merge.json").write_text(json.dumps(values), "utf-8")

    return edit


@pytest.mark.parametrize("damage, error, message", [
    (flip, DamagedCheckpoint, "is not the tensor that was written"),
    (lambda f: (f / "config.json").unlink(), MissingCheckpoint, "config.json is missing"),
    (lambda f: (f / "model.safetensors").unlink(), MissingCheckpoint, "model.safetensors is miss"),
    (lambda f: (f / "merge.json").unlink(), MissingCheckpoint, "no merge.json, so it is no folder"),
    (lambda f: (f / "merge.json").write_text("{"), DamagedCheckpoint, "cannot be read"),
    (edit_record(lambda v: v.update(version=9)), DamagedCheckpoint, "version 9; only 2 can be"),
    (edit_record(lambda v: v["tensors"].pop()), DamagedCheckpoint, "its digest does not match"),
    (edit_record(lambda v: v.update(files=3)), DamagedCheckpoint, "must be an object, got 3"),
    (edit_record(lambda v: v.update(files={})), DamagedCheckpoint, "lie in other files"),
])  # fmt: skip
def test_a_folder_that_is_not_as_written_is_told(
    copied: Path, damage: Callable[[Path], object], error: type[DppaError], message: str
) -> None:
    damage(copied)
    with pytest.raises(error, match=message):
        check_merge(copied)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = MergeRecord((Parent("zoo:base", None),), kept(1, 2), (0.5,), {"a": "b"})
    write_record(record, tmp_path)
    assert read_record(tmp_path) == record


def test_a_merge_with_fewer_plots_leaves_none_of_the_old(merged: Path, copied: Path) -> None:
    recipe = read_merge(merged).recipe
    single = MergeRecipe(recipe.base, recipe.models[:1])
    merge_to_folder(single, copied, overwrite=True, sync=False)
    assert sorted(path.name for path in copied.glob("*.svg")) == ["density-1.svg"]
