"""Rules of the laboratory: what it imports of the library, the order of its packages, sizes."""

import re

import pytest

import dppa_core
from tests.helpers.command import Command
from tests.test_architecture import (
    LAB,
    ROOT,
    houses,
    imported,
    late_imports,
    module_name,
    resolve,
    sources,
    too_long,
    top_level,
)

DECLARED = {
    f"dppa_core.{package}.{module}" if package else f"dppa_core.{module}"
    for package, modules in {
        "": "errors progress tasks",
        "charts": "chart heatmap plots report tables",
        "checkpoints.adapters": "lora_files",
        "checkpoints.sources": "fetchable open references zoo",
        "checkpoints.vocabulary": "chat_templates",
        "cli": "options output",
        "evaluation": "examiner form_scores form_sizes harness_tasks identity lm_eval_harness "
        "scores side_by_side",
        "evaluation.analysis": "curvature logit_changes overlap_pass",
        "forms": "store",
        "merging": "convert merger",
        "merging.in_memory": "model_pool source",
        "preflight_checks": "fetchable_sets",
        "methods": "registry",
        "methods.shared": "contract",
        "models": "answer_loss devices resident texts",
        "profiling": "profile",
        "pruning": "coefficients delta_profile delta_size density floats partition plan "
        "pruning_parameters rate_table",
        "recipes": "calibration differences plain_yaml yaml_text",
        "system": "atomic_folders byte_sizes folder_cache machine threads",
        "tasks": "finance intervals items law math own_items",
        "tuning.adamerging": "adamerge settings texts",
        "tuning.advice": "facts gather_facts kept_rule",
        "tuning.search": "axes joint scoring",
    }.items()
    for module in modules.split()
}
"""What the laboratory may import of the library beside its public names: a change of one of these
may change the laboratory."""
LAB_SOURCES = sources(LAB, "lab/scripts")


def test_of_the_library_public_names_and_declared_modules_are_imported() -> None:
    used = {
        name for path in LAB_SOURCES for name in imported(path) if name.startswith("dppa_core.")
    }
    public = {f"dppa_core.{name}" for name in dppa_core.__all__}
    assert {resolve(name) for name in used - public} == DECLARED
    assert not [name for name in used if any(part.startswith("_") for part in name.split("."))]


def test_the_page_is_not_imported() -> None:
    banned = {"components", "dppa_studio", "gradio", "app"}
    assert not [module_name(path) for path in LAB_SOURCES if top_level(path) & banned]


@pytest.mark.parametrize("package", houses("dppa_lab"))
def test_every_import_points_to_an_earlier_part(package: str) -> None:
    assert not late_imports(package)


def test_a_file_has_one_purpose() -> None:
    long = too_long(LAB, "lab/scripts")
    assert not [name for name in long if "/commands/" not in name]  # an option a line


def test_every_command_of_the_makefile_is_there_with_its_options(dppa: Command) -> None:
    text = (ROOT / "lab" / "Makefile").read_text("utf-8").replace("\\\n", " ")
    options_of: dict[tuple[str, ...], set[str]] = {}
    for line in re.findall(r"\$\(DPPA\) ([^;&\n]+)", text):
        words = line.split()
        name = tuple(words[: 2 if words[0] == "zoo" else 1])
        options_of.setdefault(name, set()).update(w for w in words if w.startswith("--"))
    assert len(options_of) >= 8
    for name, options in options_of.items():
        assert dppa(*name, "--help") == 0, name
        assert options <= set(re.findall(r"--[a-z-]+", dppa.out)), name
