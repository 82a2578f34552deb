"""A block that answers: a merge of embedded models, and what it says to an example question."""

from __future__ import annotations

from typing import Any

from dppa_core.errors import InvalidValue, shown
from dppa_core.models.reply import GenerationSettings
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.tasks import example_of, score

from ...session.session import Session
from ...session.state import VERSION, session_from_state
from ...views.see.answer_curve import MAX_TOKENS
from ...views.see.pinned import examples
from ...widgets.theme import KNOWN_MODELS
from ...work.progress_stream import growing
from .context import BASE, Arguments, BlockContext, choice


def merged_answer(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """The answer of a merge by DPPA. Arguments: {"models", "rate", "factors", "strength",
    "question"}; by default all models that come with the page, and the first example. Without
    factors all that stays counts once. `assets/js/learn/blocks/merged_answer.js` asks the tab
    instead where it can."""
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
    return {"examples": offered, "question": question, "text": text, "right": right}


def session_of(arguments: Arguments) -> Session:
    """The merge that {"models", "rate", "factors", "strength"} name; by default all models."""
    names, factors = arguments.get("models", list(KNOWN_MODELS)), arguments.get("factors", [])
    if not isinstance(names, list) or not set(map(str, names)) <= set(KNOWN_MODELS):
        allowed = ", ".join(KNOWN_MODELS)
        raise InvalidValue(f"models are a list of some of {allowed}; got {shown(names)}.")
    if not isinstance(factors, list):
        raise InvalidValue(f"factors are a list of numbers; got {shown(factors)}.")
    return session_from_state(
        {
            "v": VERSION,
            "base": BASE,
            "models": [{"ref": name, "on": True, "coefficient": 1.0} for name in names],
            "rate": arguments.get("rate", 0.8),
            "strength": arguments.get("strength", PruningParameters().strength),
            "partitions": len(factors) or 1,
            "amplify": {"linked": True, "factors": factors or [1.0]},
        }
    )
