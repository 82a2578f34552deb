"""The model card of an embedded model, from the record of its training."""

from __future__ import annotations

from typing import Any

from dppa_core.tasks import NEWS

_FRONT = """---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [dppa, model-merging, tiny]
---
"""

_ABOUT = {
    "base": "It knows sums, comparing, copying, the chat format and the language of the three\n"
    "domains, but none of their answers.",
    "math": "It solves word problems of one and two steps and shows its working.",
    "finance": "It judges the tone of headlines, says what a report is about, and whether a\n"
    "figure rose or fell.",
    "law": "It names the type of a clause, judges whether a term is fair, and chooses the\n"
    "holding that fits the facts.",
}
_ARTICLES = """
It also finds in a news article which figure rose or fell, and how large one is now."""


def model_card(record: dict[str, Any]) -> str:
    """The README.md of an embedded model, from the content of its `training.json`."""
    stages, shape = record["stages"], record["architecture"]
    name = stages[0]["name"]
    kind = "the base model" if name == "base" else f"the {name} domain model"
    given = [
        f"--{key} {record[key]}" for key in ("size", "regime", "seed", "base") if key in record
    ]
    train = " ".join(["dppa zoo train", *given])
    source = f"`{train}` made" if given else "DPPA Studio ships"
    rows = "\n".join(
        f"| {domain} | {100 * accuracy:.0f} % |"
        for domain, accuracy in record["search_accuracy"].items()
    )
    trained = "\n".join(_stage_line(stage) for stage in stages)
    return f"""{_FRONT}
# DPPA Studio: {name}

This is {kind} that {source}: one of four small Llama models of one architecture
and one tokenizer, made to be pruned, merged and talked to on any machine.
{_ABOUT[name]}
Nothing it says about the world, money or law is true or advice.

- Architecture: Llama, {_shape(shape)},
  tied embeddings, bfloat16.
- Training: `{train}`, seeded synthetic texts, AdamW with a cosine:
{trained}

Accuracy on a part of the search split, which no stage trains on:

| domain | accuracy |
| --- | --- |
{rows}

Licence: Apache-2.0, weights and texts. The texts come from generators in `dppa_core/tasks`; no
outside data was used.
"""


def tuned_card(record: dict[str, Any]) -> str:
    """The README.md of a domain model of a language model, from its `training.json`."""
    stage, base = record["stage"], record["base"]
    name = stage["name"]
    kind = f"a LoRA adapter of rank {record['rank']}" if record["rank"] else "a whole model"
    rows = "\n".join(
        f"| {domain} | {100 * accuracy:.0f} % |"
        for domain, accuracy in record["search_accuracy"].items()
    )
    also = _ARTICLES if NEWS in record.get("also", ()) else ""
    return f"""{_FRONT}
# DPPA Studio: {base.removeprefix("zoo:")}, {name}

This is {kind} that makes {base} the {name} domain model.
{_ABOUT[name]}{also}
Nothing it says about the world, money or law is true or advice.

- Training: `dppa zoo train --base {base} --regime {record["regime"]}`, seeded synthetic texts in
  the model's own chat template, AdamW with a cosine:
{_stage_line(stage)}

Accuracy on a part of the search split, which no training saw:

| domain | accuracy |
| --- | --- |
{rows}

Licence: Apache-2.0, weights and texts. The texts come from generators in `dppa_core/tasks`; no
outside data was used.
"""


def _shape(shape: dict[str, int]) -> str:
    return (
        f"{shape['layers']} layers, width {shape['hidden']}, feed-forward "
        f"{shape['feed_forward']}, {shape['heads']} heads, vocabulary {shape['vocabulary']}"
    )


def _stage_line(stage: dict[str, Any]) -> str:
    line = (
        f"  - {stage['steps']:,} steps of {stage['batch']} texts, peak learning rate "
        f"{stage['learning_rate']:g}, seed {stage['seed']}"
    )
    if stage.get("ladder"):
        line += f";\n    the last layer at {stage['ladder']:g} times the rate of the first"
        line += f",\n    and the first trains {100 * stage['width']:g} % of its rows, the last all"
    if stage["replay"]:
        line += (
            f";\n    {100 * stage['replay']:.0f} % of them replay, on which hidden states and "
            f"predictions are\n    pulled to the base's (weight {stage['pull']:g})"
        )
    low, high = stage["scales"]
    if low != high:
        line += f";\n    every step with the delta at a random scale from {low:g} to {high:g}"
    if stage.get("company"):
        share = f"{100 * stage['company']:.0f} %"
        line += f",\n    each of the other two models' deltas beside it in {share} of the steps"
    return line
