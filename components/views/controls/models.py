"""The models of the merge: presets, the list with switches and coefficients, adding one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from dppa_core.checkpoints.sources.open import ModelRef, needs_download, pinned
from dppa_core.checkpoints.sources.references import whole_model
from dppa_core.checkpoints.sources.zoo import zoo_names
from dppa_core.errors import IncompatibleCheckpoints, InvalidValue, NotAllowed
from dppa_core.preflight_checks.facts import ORDER, Finding, Severity
from dppa_core.preflight_checks.preflight_report import PreflightReport, preflight_models
from dppa_core.preflight_checks.weight_findings import about_distance, measure_distance

from ...session.forms import on_base
from ...session.json_form import reference_text
from ...session.presets import fetchable_choices, presets
from ...session.session import MOST_MODELS, ModelChoice, Session
from ...widgets.browser_parts import live, static
from ...work.figures import short_name, whole_json
from ...work.studio import Studio

PUBLIC_HELP = "One of the embedded models. Your own models can be used in a copy of your own."
LOCAL_HELP = (
    "A folder with config.json and safetensors weights, owner/name[@revision] of the Hub, or an "
    "embedded model. MODEL+ADAPTER adds a LoRA adapter or a delta pack. Commas separate several."
)
RECIPE_HELP = "A recipe file, ours or mergekit's: drop it on this box, or open it under Save."
BASE_HELP = "What they were fine-tuned from. Empty: the base above."


@dataclass(frozen=True, slots=True)
class ModelsView:
    """The choice of a preset, and the components that add a model."""

    preset: gr.HTML
    base: gr.Dropdown
    reference: gr.Dropdown
    use: gr.Button
    findings: gr.HTML


def build_preset(studio: Studio) -> gr.HTML:
    """Build the choice of a preset, which marks changed controls."""
    wholes = {title: whole_json(session) for title, session in presets().items()}
    hub = fetchable_choices(public=studio.public)
    value = {"chosen": next(iter(wholes)), "wholes": wholes, "hub": hub}
    with gr.Column(elem_id="preset-box", min_width=0):
        return live("preset", value, events=("choose",))


def build_own(studio: Studio) -> tuple[gr.Dropdown, gr.Dropdown, gr.Button, gr.HTML]:
    """Build the fields for domain models and their base, a button, and the preflight findings."""
    embedded: dict[str, Any] = {
        "choices": [f"zoo:{name}" for name in zoo_names()],
        "value": None,
        "allow_custom_value": not studio.public,
    }
    with gr.Accordion("Use your own models …", open=False, elem_id="own-models"):
        reference = gr.Dropdown(
            label="Domain models",
            info=PUBLIC_HELP if studio.public else LOCAL_HELP,
            elem_id="reference",
            **embedded,
        )
        base = gr.Dropdown(label="Their base", info=BASE_HELP, elem_id="own-base", **embedded)
        with gr.Row(elem_classes="buttons"):
            use = gr.Button("Check and use", size="sm", elem_id="use-models")
        findings = live("findings", None)
        static(f'<p class="how">{RECIPE_HELP}</p>', "recipe-help")
    return base, reference, use, findings


def named_references(base: object, models: object) -> tuple[str, tuple[str, ...]]:
    """Base, empty if none was typed, and domain models, separated by commas.

    Raises:
        InvalidValue: nothing was typed, several bases, too many models, or no name between commas.
    """
    bases, references = _split(base), _split(models)
    if not bases and not references:
        raise InvalidValue(
            "Name a model first: type a folder or owner/name of the Hub, or choose an embedded one."
        )
    if len(bases) > 1:
        raise InvalidValue(
            f"A merge has one base; {len(bases)} are named: {', '.join(bases)[:200]}. Write the "
            "domain models into their own field."
        )
    if len(references) > MOST_MODELS:
        raise InvalidValue(
            f"{len(references)} domain models are named, and the page merges at most "
            f"{MOST_MODELS}. `dppa merge` takes any number."
        )
    return "".join(bases), references


def _split(value: object) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    parts = value.split(",") if isinstance(value, str) else [value]
    return tuple(map(reference_text, parts))


def findings_value(findings: Iterable[Finding], head: str = "") -> dict[str, Any]:
    """A list below `head`: problems, the most severe first, and the number of passed checks."""
    findings = list(findings)
    rows = [
        finding.to_json() | {"model": _model_name(finding.model)}
        for finding in findings
        if finding.severity is not Severity.OK
    ]
    count = len(findings) - len(rows)
    passed = f"{count} more check{'s' * (count > 1)} passed." if count else ""
    return {"head": head, "rows": rows, "fine": passed}


def first_blocker(blockers: Sequence[Finding]) -> str:
    """The blockers as one notice."""
    first = blockers[0]
    model = f"{_model_name(first.model)}: " if first.model else ""
    return " ".join(part for part in (model + first.what, first.why, first.remedy) if part)


def _model_name(reference: str) -> str:
    """A model's name in a list: owner/name on the Hub, else its short name."""
    if reference.startswith("hub:") and "+" not in reference:
        return reference.removeprefix("hub:").partition("@")[0]
    return short_name(reference) if reference else ""


def preflight_report(base: str, names: Sequence[str], studio: Studio) -> PreflightReport | None:
    """The preflight of models before they are added; None on a public page."""
    return None if studio.public else preflight_models(base, names, heads="ask")


def opened_findings(
    report: PreflightReport | None, base: str, references: Sequence[str], studio: Studio
) -> dict[str, Any] | None:
    """The findings about opened models, including their distances from the base."""
    if studio.public:
        return None
    profiles = [(name, studio.profile(base, name)) for name in references]
    far = [about_distance(name, measure_distance(profile)) for name, profile in profiles]
    before = [f for f in report.findings if f.topic != "base"] if report else []
    findings = sorted([*far, *before], key=lambda finding: -ORDER.index(finding.severity))
    return findings_value(findings, "Added; checked before:" if report else "Opened:")


def is_local(reference: str, studio: Studio) -> bool:
    """Return True if a model opens without a download; DppaError for a malformed or unknown one."""
    pin = pinned(reference, public=studio.public)
    return not needs_download(ModelRef.parse(pin, public=studio.public))


def local_reference(value: object, studio: Studio) -> str:
    """A reference as stored in recipes, with its commit; DppaError if malformed or not fetched."""
    pin = pinned(reference_text(value), public=studio.public)
    reference = ModelRef.parse(pin, public=studio.public)
    if needs_download(reference):
        raise NotAllowed(
            f"{reference}: not on this computer yet. Type it under Models, Use your own models: "
            "there it is fetched."
        )
    return str(reference)


def with_more_models(session: Session, references: Sequence[str]) -> Session:
    """The session with more domain models, before they are opened; InvalidValue if it cannot have
    them: too many, the base itself, or one that is listed."""
    if len(session.models) + len(references) > MOST_MODELS:
        raise InvalidValue(
            f"The list holds {len(session.models)} domain models, and at most {MOST_MODELS}: "
            f"{len(references)} more do not fit. Remove some first."
        )
    if session.base in references:
        raise InvalidValue(f"{session.base} is the base itself: its delta is zero everywhere.")
    return replace(session, models=(*session.models, *map(ModelChoice, references)))


def with_models(session: Session, references: Sequence[str], studio: Studio) -> Session:
    """As `with_more_models`; opens and measures the models."""
    extended = with_more_models(session, references)
    for reference in references:
        studio.profile(session.base, reference, fresh=True)
    return extended


def with_base(session: Session, base: str, models: Sequence[str], studio: Studio) -> Session:
    """The session on another base, with these models; measures them. Models that were listed
    before keep their coefficients; without any named, all are kept."""
    moved = [replace(model, reference=on_base(model.reference, base)) for model in session.models]
    listed = {model.reference: model for model in moved}
    choices = tuple(listed.get(name, ModelChoice(name)) for name in models) or tuple(moved)
    if any(whole_model(model.reference) == base for model in choices):
        raise InvalidValue(
            f"{base} is in the list of domain models. Remove it there before it is the base."
        )
    try:
        for model in choices:
            studio.profile(base, model.reference, fresh=True)
    except IncompatibleCheckpoints as error:
        raise IncompatibleCheckpoints(
            f"{error} Models of another family replace all at once: name their base and all "
            "of them."
        ) from error
    rows = tuple((on_base(name, base), row) for name, row in session.own_factors)
    changed = replace(session, base=base, models=choices, own_factors=rows)
    return _without_foreign_layers(changed, studio)


def with_pins(session: Session, studio: Studio) -> Session:
    """A session from outside with pinned references; DppaError if a model has to be fetched."""
    names = (session.base, *(model.reference for model in session.models))
    pins = {name: local_reference(name, studio) for name in names}
    values = tuple((key, pins.get(str(value), value)) for key, value in session.method.values)
    return replace(
        session,
        base=pins[session.base],
        models=tuple(replace(model, reference=pins[model.reference]) for model in session.models),
        own_factors=tuple((pins.get(name, name), row) for name, row in session.own_factors),
        method=replace(session.method, values=values),
    )


def check_curves(session: Session, studio: Studio) -> None:
    """Raise InvalidValue unless every curve ends at the last layer of the base."""
    for model in session.models:
        last = layer_count(session.base, model.reference, studio) - 1
        if model.curve and model.curve[-1][0] != last:
            raise InvalidValue(
                f"Coefficient of {model.reference}: its curve ends at layer {model.curve[-1][0]}, "
                f"and the last layer of the base is {last}. Settings for another size of model "
                "are the usual cause."
            )


def layer_count(base: str, reference: str, studio: Studio) -> int:
    """Number of layers of a pair, including those without a changed matrix."""
    modules = studio.profile(base, reference).modules
    return max((item.module.layer + 1 for item in modules), default=0)


def _without_foreign_layers(session: Session, studio: Studio) -> Session:
    """The session without module rates and curves that belong to another model size."""
    first = session.models[0].reference
    names = {item.module.name for item in studio.profile(session.base, first).modules}
    last = layer_count(session.base, first, studio) - 1
    models = tuple(
        replace(model, curve=()) if model.curve and model.curve[-1][0] != last else model
        for model in session.models
    )
    overrides = tuple(pair for pair in session.overrides if pair[0] in names)
    return replace(session, models=models, overrides=overrides)


def preset_session(title: object) -> Session:
    """The session of the preset with that title."""
    if not isinstance(title, str) or title not in presets():
        raise InvalidValue(f"There is no preset {title!r:.80}.")
    return presets()[title]
