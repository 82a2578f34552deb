"""Named endpoints for programs and for agents (MCP).

A recipe arrives as text and is checked like every recipe. The page's queue, limits and rules for
public pages apply. Clients read these docstrings.
"""

# Annotations stay values here: Gradio reads the types of an endpoint's answer from them.

import time
from contextlib import closing
from typing import Any, Literal, get_args

import gradio as gr

from dppa_core.checkpoints.sources.zoo import zoo_domain
from dppa_core.errors import InvalidValue, NotAllowed, UnknownName, shown
from dppa_core.evaluation.scores import DomainScore, Target
from dppa_core.merging.inputs import open_inputs
from dppa_core.merging.plan import plan_merge
from dppa_core.models.reply import MAX_PROMPT_CHARS, MAX_TOKENS, GenerationSettings, ReplyToken
from dppa_core.parameter_fields import check_number
from dppa_core.progress import Stop
from dppa_core.pruning.plan import PruningPlan
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, parse_recipe, recipe_hash
from dppa_core.tasks import DOMAINS

from ..session.conversation import MOST_SEED, USUAL_ANSWER
from ..session.fields import whole_number
from ..session.presets import first_session
from ..session.session import MOST_MODELS
from ..views.export.export_values import export_value, read_facts
from ..views.export.export_work import ExportWork, find_maker, make_file
from ..work.downloads.files import Exports
from ..work.downloads.route import address_of
from ..work.error_notices import show_errors
from ..work.figures import outcome_value
from ..work.kinds import API, CHAT, CHATS, EXAMS, EXPORTS, LOOKS, MODELS
from ..work.question import whole
from ..work.rate_limits import Allowance
from ..work.studio import Studio
from ..work.visitor import asker
from .api_pictures import (
    Picture,
    distribution_picture,
    heatmap_picture,
    kept_picture,
    plan_of,
    scores_picture,
)

MAX_QUESTIONS = 400
Kind = Literal["checkpoint", "packs", "report", "recipe", "mergekit", "card"]


class Endpoints:
    """The endpoints; each has the name of its method."""

    def __init__(self, studio: Studio, exports: Exports, allowance: Allowance) -> None:
        self._studio, self._exports, self._allowance = studio, exports, allowance

    def example(self) -> str:
        """The recipe that the page opens with, as YAML: something to begin with and to change."""
        return dump_recipe(first_session().recipe())

    def plan(self, recipe: str) -> dict[str, Any]:
        """What pruning keeps of every matrix, without merging; empty for methods that decide later.

        Args:
            recipe: A recipe as YAML text; `example` gives one.

        Returns:
            recipe: its hash; plans: one a domain model, with every module's rate and kept count.
        """
        merge = self._recipe(recipe)
        plans = [plan.to_json() for plan in self._plans(merge)]
        return {"recipe": recipe_hash(merge), "plans": plans}

    def merge(self, recipe: str) -> dict[str, Any]:
        """Merge in memory, and report the effect on every matrix.

        Args:
            recipe: A recipe as YAML text; `example` gives one.

        Returns:
            recipe: its hash; models; cells: [layer, kind, share of weights changed, mean change, share of each model's delta in the merge].
        """  # noqa: E501  (Gradio reads one line a value)
        merge = self._recipe(recipe)
        outcome = self._studio.finished(API, lambda stop: self._studio.outcome(merge, stop))
        return {"recipe": recipe_hash(merge), **outcome_value(outcome)}

    def chat(
        self,
        recipe: str,
        question: str,
        request: gr.Request,
        model: str = "merged",
        max_tokens: int = USUAL_ANSWER,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> str:
        """Ask a merge, its base, or one of its domain models one question.

        Args:
            recipe: A recipe as YAML text; `example` gives one.
            question: 1 to 2000 characters.
            model: merged, or the reference of the recipe's base or of one of its domain models.
            max_tokens: Longest answer, 1 to 256.
            temperature: 0 takes the likeliest word; up to 2.
            seed: Same seed, question and model: same answer.

        Returns:
            The answer.
        """
        target = self._target(self._recipe(recipe), model)
        if not isinstance(question, str) or not 1 <= len(question.strip()) <= MAX_PROMPT_CHARS:
            raise InvalidValue(f"question: a text of 1 to {MAX_PROMPT_CHARS} characters.")
        prompt = whole(question.strip())
        tokens = whole_number("max_tokens", max_tokens, 1, MAX_TOKENS)
        start = whole_number("seed", seed, 0, MOST_SEED)
        warmth = check_number("temperature", temperature, 0, 2)
        self._allowance.spend(asker(request), tokens)

        def work(stop: Stop) -> str:
            settings = GenerationSettings(tokens, warmth, seed=start)
            events = self._studio.answerer().replies(target, prompt, settings, stop)
            with self._studio.people.counted(), closing(events):
                written = [event for event in events if isinstance(event, ReplyToken)]
            return next((token.text for token in reversed(written) if not token.last), "")

        return self._studio.finished(CHAT, work)

    def score(
        self, recipe: str, domain: str, model: str = "merged", questions: int = 20
    ) -> dict[str, Any]:
        """Test accuracy of a merge, its base, or one of its domain models in one domain.

        Args:
            recipe: A recipe as YAML text; `example` gives one.
            domain: math, finance or law.
            model: merged, or the reference of the recipe's base or of one of its domain models.
            questions: 4 to 400, in fours; more take longer and narrow the interval.

        Returns:
            accuracy: share answered exactly right; low, high: its 95 % interval; questions.
        """
        target = self._target(self._recipe(recipe), model)
        if domain not in DOMAINS:
            raise UnknownName(f"domain: {shown(domain)}. Known: {', '.join(DOMAINS)}.")
        limit = whole_number("questions", questions, 4, MAX_QUESTIONS)
        studio = self._studio
        score = studio.finished(API, lambda stop: studio.score(target, domain, limit, stop))
        low, high = score.ci95
        return {"accuracy": score.accuracy, "low": low, "high": high, "questions": score.n}

    def picture(
        self, recipe: str, kind: Picture, model: str = "", questions: int = 20
    ) -> dict[str, str]:
        """Draw a merge as SVG: its matrices, what its partitions hold, its changes, or its scores.

        Args:
            recipe: A recipe as YAML text; `example` gives one.
            kind: heatmap (kept share of every matrix), kept (partitions by kind of matrix), distribution (sizes of changes), or scores (merge, base and domain model in the domain).
            model: The domain model to draw, as the recipe names it; the first if empty. For scores, its domain is asked.
            questions: For scores: 4 to 400, in fours.

        Returns:
            svg: the picture; it needs no other file.
        """  # noqa: E501  (Gradio reads one line a value)
        merge = self._recipe(recipe)
        if not isinstance(model, str):
            raise UnknownName(f"model: a text, got {shown(model)}.")
        if kind == "scores":
            return {"svg": self._scores(merge, model, questions)}
        if kind not in get_args(Picture):
            raise UnknownName(f"kind: {shown(kind)}. Known: {', '.join(get_args(Picture))}.")
        plan = plan_of(self._plans(merge), model)
        if kind == "distribution":
            return {"svg": self._distribution(merge, plan)}
        return {"svg": (heatmap_picture if kind == "heatmap" else kept_picture)(plan)}

    def _plans(self, recipe: MergeRecipe) -> tuple[PruningPlan, ...]:
        public = self._studio.public
        return self._studio.finished(
            API, lambda stop: plan_merge(open_inputs(recipe, public=public, stop=stop)).plans
        )

    def _distribution(self, recipe: MergeRecipe, plan: PruningPlan) -> str:
        if plan.parameters.significance != "magnitude" or recipe.overrides:
            raise InvalidValue(
                "A distribution is drawn of plans that rank by magnitude, without rates of their "
                "own for single modules. `heatmap` and `kept` draw this one."
            )
        profile = self._studio.finished(
            API, lambda stop: self._studio.profile(plan.base, plan.finetuned, stop=stop)
        )
        return distribution_picture(plan.finetuned, profile, plan)

    def _scores(self, recipe: MergeRecipe, model: str, questions: int) -> str:
        names = [model.model for model in recipe.models]
        model = model or names[0]
        domain = zoo_domain(model)
        if model not in names or domain is None:
            scored = ", ".join(filter(zoo_domain, names)) or "none here"
            raise UnknownName(f"model: {shown(model)}. Scored are models of a domain: {scored}.")
        limit, studio = whole_number("questions", questions, 4, MAX_QUESTIONS), self._studio
        targets: dict[str, Target] = {"merged": recipe, recipe.base: recipe.base, model: model}

        def score(stop: Stop) -> dict[str, DomainScore]:
            return {name: studio.score(targets[name], domain, limit, stop) for name in targets}

        return scores_picture(domain, studio.finished(API, score))

    def export(self, recipe: str, kind: Kind, request: gr.Request) -> dict[str, Any]:
        """Make a file of a merge to download, or give a text of it.

        Args:
            recipe: A recipe as YAML text; `example` gives one.
            kind: checkpoint, adapter (of rank 16, or exact), packs or report are files; recipe, mergekit or card are texts.

        Returns:
            Of a file: name, address (below the page's own), bytes, sha256, seconds it stays. Of a text: name, text, notes.
        """  # noqa: E501  (Gradio reads one line a value)
        merge = self._recipe(recipe)
        if kind in ("recipe", "mergekit", "card"):
            return self._text(merge, kind)
        find_maker(kind)
        visitor = asker(request)

        def work(stop: Stop) -> dict[str, Any]:
            context = ExportWork(self._studio.public, lambda *_: None, stop)
            file = make_file(merge, kind, visitor, self._exports, context)
            return {
                "name": file.path.name,
                "address": address_of(file.word),
                "bytes": file.nbytes,
                "sha256": file.sha256,
                "seconds": round(file.until - time.monotonic()),
            }

        return self._studio.finished(API, work)

    def _text(self, recipe: MergeRecipe, kind: str) -> dict[str, Any]:
        studio, public = self._studio, self._studio.public
        facts = studio.finished(API, lambda stop: read_facts(recipe, public=public, stop=stop))
        value = export_value(facts, recipe, public=public)["texts"][kind]
        if value["reason"]:
            raise InvalidValue(value["reason"])
        return {name: value[name] for name in ("name", "text", "notes")}

    def _recipe(self, text: object) -> MergeRecipe:
        if not isinstance(text, str):
            raise InvalidValue(f"recipe: a YAML text, got {shown(text)}.")
        recipe = parse_recipe(text)
        if self._studio.public:
            _check_public(recipe)
        return recipe

    def _target(self, recipe: MergeRecipe, model: object) -> str | MergeRecipe:
        if model == "merged":
            return recipe
        references = (recipe.base, *(choice.model for choice in recipe.models))
        if not isinstance(model, str) or model not in references:
            raise UnknownName(f"model: {shown(model)}. Known: merged, {', '.join(references)}.")
        return model


def add_api(studio: Studio, exports: Exports, allowance: Allowance) -> None:
    """Register the endpoints, inside the page's Blocks; they use the page's queues."""
    endpoints = Endpoints(studio, exports, allowance)
    for endpoint, queue in (
        (endpoints.example, LOOKS),
        (endpoints.plan, LOOKS),
        (endpoints.merge, MODELS),
        (endpoints.chat, CHATS),
        (endpoints.score, EXAMS),
        (endpoints.picture, EXAMS),
        (endpoints.export, EXPORTS),
    ):
        gr.api(  # type: ignore[attr-defined]
            show_errors(endpoint),
            api_name=endpoint.__name__,
            **queue.turns,
        )


def _check_public(recipe: MergeRecipe) -> None:
    """Refuse what a public page does not offer."""
    if len(recipe.models) > MOST_MODELS:
        raise NotAllowed(
            f"A merge on a public page takes 1 to {MOST_MODELS} domain models, got "
            f"{len(recipe.models)}."
        )
    if recipe.calibration or any(model.calibration for model in recipe.models):
        raise NotAllowed(
            "calibration cannot be chosen on a public page: leave the key out, and each model is "
            "calibrated on questions of its own domain."
        )
