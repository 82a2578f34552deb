"""Write the living figures into a folder that any server of files can give out: `make living`.

python -m scripts.living [FOLDER]     out/living, if none is named
python -m scripts.living --answers    have the models write the answers that figures open with
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from components.server.living import OPENINGS, write_living
from components.session.presets import presets
from components.views.see.answer_curve import MAX_TOKENS
from components.views.see.pinned import answers_file, examples
from components.work.progress_stream import growing
from components.work.studio import Studio
from dppa_core.models.reply import GenerationSettings
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tab.files import BASE, MODELS
from dppa_core.tasks import DOMAINS, answer_reader, score
from dppa_core.tasks import items as search_items

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "out" / "living"
QUESTIONS_EACH = 20
"""Questions of each domain by which a tab measures what a merge keeps."""
FIGURES = {
    "stage": "figure=stage",
    "significance": "figure=heatmap",
    "partitions": "figure=kept&rate=0.9&model=law",
    "distribution": "figure=distribution&rate=0.9",
    "prune": "figure=strip&rate=0.95",
    "amplify": "figure=answer&rate=0.95&strength=0.01682&factors=1.189,3.668",
    "hand": "figure=by-hand",
}
"""Figures of the documentation: name of the picture in docs/pictures -> address."""


def opening_answers(studio: Studio) -> dict[str, Any]:
    """Answers to all examples, of each model alone and of the merges of some presets; and the
    questions by which a tab measures."""
    return {
        "alone": {model: _answers(studio, model) for model in (BASE, *MODELS)},
        "merged": {title: _answers(studio, presets()[title].recipe()) for title in OPENINGS},
        "asked": asked_questions(studio),
    }


def asked_questions(studio: Studio) -> dict[str, Any]:
    """The first search questions of every domain, and how many its own model answers rightly."""
    items, own = [], {}
    for domain in DOMAINS:
        asked = search_items(domain, "search", QUESTIONS_EACH)
        replies = (_answer(studio, f"zoo:{domain}", item.prompt) for item in asked)
        own[domain] = sum(map(score, asked, replies))
        items += [
            {
                "domain": domain,
                "prompt": item.prompt,
                "answer": item.answer,
                "read": answer_reader(item),
            }
            for item in asked
        ]
    return {"items": items, "own": own}


def _answers(studio: Studio, target: str | MergeRecipe) -> dict[str, str]:
    return {example["prompt"]: _answer(studio, target, example["prompt"]) for example in examples()}


def _answer(studio: Studio, target: str | MergeRecipe, question: str) -> str:
    replies = studio.answerer().replies(target, question, GenerationSettings(MAX_TOKENS))
    *_, last = growing(replies)
    return str(last["text"])


def main() -> None:
    """Write the folder, or the opening answers."""
    studio = Studio(public=True)
    try:
        if "--answers" in sys.argv:
            text = json.dumps(opening_answers(studio), indent=1, ensure_ascii=False)
            answers_file().write_text(f"{text}\n", encoding="utf-8")
            return
        folder = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
        write_living(folder, studio)
        sys.stdout.write(f"{folder}/index.html\n")
    finally:
        studio.close()


if __name__ == "__main__":
    main()
