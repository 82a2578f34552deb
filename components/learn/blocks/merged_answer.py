"""A block that answers: a merge of embedded models, and what it says to an example question."""

from __future__ import annotations

from typing import Any

from dppa_core.checkpoints.sources.zoo import NEAR, NEAR_BASE
from dppa_core.errors import InvalidValue, shown
from dppa_core.methods.registry import get_method
from dppa_core.models.reply import GenerationSettings
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.tasks import example_of, score

from ...session.method_choice import DPPA, MethodChoice, method_json
from ...session.session import Session
from ...session.state import VERSION, session_from_state
from ...views.see.answer_curve import MAX_TOKENS
from ...views.see.pinned import examples
from ...widgets.theme import KNOWN_MODELS
from ...work.progress_stream import growing
from .context import BASE, Arguments, BlockContext, choice

METHODS = (DPPA, "magnitude", "dare")
"""Those that a lesson compares."""


def merged_answer(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """The answer of a merge. Arguments: {"models", "rate", "factors", "strength", "question",
    "method"}; by default all models that come with the page, the first example, and DPPA without
    a choice of methods. Without factors all that stays counts once.
    `assets/js/learn/blocks/merged_answer.js` asks the tab instead where it can."""
    session = session_of(arguments)
    offered = examples()
    question = choice(arguments, "question", tuple(example["prompt"] for example in offered))
    context.wait_for_models()
    settings = GenerationSettings(MAX_TOKENS)
    with context.studio.people.counted():
        *_, reply = growing(
            context.studio.answerer().replies(session.recipe(), question, settings, context.stop)
        )
    item, text = example_of(question), reply["text"]
    right = None if item is None else score(item, text)
    methods = [[name, get_method(name).title] for name in METHODS if "method" in arguments]
    answer = {"question": question, "text": text, "right": right}
    return {"examples": offered, "methods": methods, **answer}


def session_of(arguments: Arguments) -> Session:
    """The merge that {"models", "rate", "factors", "strength", "method"} name; by default of all
    models. They share one base."""
    names, factors = arguments.get("models", list(KNOWN_MODELS)), arguments.get("factors", [])
    near = [f"zoo:{name}" for name in NEAR]
    if not isinstance(names, list) or not any(
        set(map(str, names)) <= set(models) for models in (KNOWN_MODELS, near)
    ):
        allowed = f"{', '.join(KNOWN_MODELS)}, or of {', '.join(near)}"
        raise InvalidValue(f"models are a list of some of {allowed}; got {shown(names)}.")
    if not isinstance(factors, list):
        raise InvalidValue(f"factors are a list of numbers; got {shown(factors)}.")
    return session_from_state(
        {
            "v": VERSION,
            "base": f"zoo:{NEAR_BASE}" if set(names) & set(near) else BASE,
            "models": [{"ref": name, "on": True, "coefficient": 1.0} for name in names],
            "rate": arguments.get("rate", 0.8),
            "strength": arguments.get("strength", PruningParameters().strength),
            "method": method_json(MethodChoice(choice(arguments, "method", METHODS))),
            "partitions": len(factors) or 1,
            "amplify": {"linked": True, "factors": factors or [1.0]},
        }
    )
