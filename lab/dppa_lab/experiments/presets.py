"""Settings by name: the embedded models, a set of the Hub, or the user's file.

Obstacles to running a set on this machine are reported before anything is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dppa_core.errors import InvalidRecipe, InvalidValue, shown
from dppa_core.preflight_checks.fetchable_sets import FetchableSet, fetchable_set, runs_here
from dppa_core.recipes.plain_yaml import read_mapping
from dppa_core.recipes.yaml_text import load_text
from dppa_core.system.machine import this_machine
from dppa_core.tasks import DOMAINS, check_domain
from dppa_lab.experiments.setting import HARNESS, Setting, Subject, embedded
from dppa_lab.zoo.spec import SIZES

EMBEDDED = "embedded"


def preset_setting(
    name: str,
    *,
    tasks: Sequence[str] | None = None,
    lm_eval: Sequence[str] | None = None,
    folder: Path | None = None,
    test: int | None = None,
    search: int = 64,
    sizes: Path | None = None,
) -> Setting:
    """The setting of a set of models.

    Args:
        name: embedded, a set of the Hub by name, or a YAML file with `base` and `models`.
        tasks: The domain of each model, embedded or one's own.
        lm_eval: Instead, a task of lm-evaluation-harness for each model.
        folder: Folder of the user's task files.
        test: Test items per domain; all if None.
        search: Search items per domain.
        sizes: Folder of the embedded models at other sizes.

    Raises:
        UnknownName: no such set, or no such domain.
        InvalidValue: not one domain per model.
        InvalidRecipe: the file is no set of models.
    """
    if name == EMBEDDED and tasks is None and lm_eval is None:
        setting = embedded(test, search)
        return setting if sizes is None else replace(setting, sizes=trained(sizes, test, search))
    title, base, models, why = _models(name)
    domains = _domains(models, tasks, lm_eval)
    if not why and domains is None:
        why = (
            "no questions are known for the domains of its models: name an embedded domain for "
            "each (--tasks), a file of questions (--items), or a task of lm-evaluation-harness "
            "(--lm-eval)"
        )
    subjects = tuple(
        Subject(model, domain)
        for model, domain in zip(models, domains or [f"{model}?" for model in models], strict=True)
    )
    if tasks:
        title = f"{title}; questions: {', '.join(tasks)}"
    tasks_folder = None if folder is None else str(folder)
    return Setting(title, base, subjects, test, search, tasks_folder, why)


def trained(folder: Path, test: int | None, search: int) -> tuple[Setting, ...]:
    """The settings of all sizes whose four models are in a folder, smallest first.

    Args:
        folder: Contains a folder per size, with a folder per model.
        test: Test items per domain; all if None.
        search: Search items per domain.
    """
    settings = []
    for name in SIZES:
        models = {model: folder / name / model for model in ("base", *DOMAINS)}
        if all((path / "config.json").is_file() for path in models.values()):
            subjects = tuple(Subject(str(models[domain]), domain) for domain in DOMAINS)
            settings.append(Setting(name, str(models["base"]), subjects, test, search))
    return tuple(settings)


def _models(name: str) -> tuple[str, str, list[str], str]:
    """Title, base, models, and why they cannot be merged and asked here."""
    if name == EMBEDDED:
        setting = embedded()
        return setting.title, setting.base, [subject.model for subject in setting.subjects], ""
    if Path(name).suffix in (".yaml", ".yml"):
        return load_text(name, _file)
    preset = fetchable_set(name)
    models = [model.reference for model in preset.models]
    return preset.title, preset.base.reference, models, _hindrance(preset)


def _file(text: str) -> tuple[str, str, list[str], str]:
    value = read_mapping(text)
    models = value.get("models")
    entries = models if isinstance(models, list) else []
    named = [str(entry.get("model") or "") if isinstance(entry, dict) else "" for entry in entries]
    if not isinstance(value.get("base"), str) or not all(named or [""]):
        raise InvalidRecipe(
            f"a set of models has `base: REFERENCE` and `models: [{{model: REFERENCE}}, …]`, got "
            f"{shown(value)}."
        )
    title = str(value.get("title", "A set of one's own"))
    return title, str(value["base"]), named, ""


def _domains(
    models: Sequence[str], tasks: Sequence[str] | None, lm_eval: Sequence[str] | None
) -> list[str] | None:
    names = tasks if tasks is not None else lm_eval
    if names is None:
        return None
    if len(names) != len(models):
        option = "--tasks" if tasks is not None else "--lm-eval"
        raise InvalidValue(
            f"The set has {len(models)} domain models and {option} names {len(names)} "
            f"({', '.join(names)}). There must be one for each model: {', '.join(models)}."
        )
    if lm_eval is not None and tasks is None:
        return [f"{HARNESS}{name}" for name in lm_eval]
    for name in names:
        check_domain(name)
    return list(names)


def _hindrance(preset: FetchableSet) -> str:
    """Why a set of the Hub cannot run on this machine; empty if no reason is known."""
    from huggingface_hub import constants, get_token  # noqa: PLC0415  (a third of a second)

    missing = preset.missing()
    gated, why = preset.gated, list[str]()
    if missing and gated and get_token() is None:
        why.append(
            f"{', '.join(gated)} is gated: accept its terms on the Hub and log in (`hf auth login`)"
        )
    runnable = runs_here(preset.estimate(missing), this_machine(Path(constants.HF_HUB_CACHE)))
    if not runnable.merge:  # a model that exceeds memory is spread
        why.append(f"too large for this machine: it takes {runnable.reason}")
    return "; ".join(why)
