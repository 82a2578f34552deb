"""An evaluation as text for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import floor, log10
from typing import Any

from dppa_core.charts.tables import percent_text, signed_text, text_table
from dppa_core.tasks import OwnDomain
from dppa_core.tasks.loops import LOOP_TIMES
from dppa_core.tasks.own_items import ALL

MASKED_WORDS = "15 %, drawn from a fixed seed, never special ones,"
"""How an encoder's masks are chosen."""


def evaluated_text(value: Mapping[str, Any]) -> str:
    """Text of all measurements of one model, or of a recipe and those beside it."""
    parts = []
    if "rows" in value:
        parts.append(_beside_text(value))
        parts += _behaviours(value, {row["label"]: row["domains"] for row in value["rows"]})
    elif "domains" in value:
        parts.append(_alone_text(value))
        parts += _behaviours(value, {value["label"]: value["domains"]})
    if "judge" in value:
        parts.append(value["judge"]["sentence"])
    if "text" in value:
        parts.append(_perplexities(value["text"]))
    if "pairs" in value:
        parts.append(_similarities(value["pairs"]))
    if "lm_eval" in value:
        parts.append(_harness(value["lm_eval"]))
    if "one_more" in value:
        parts.append(_one_more(value["one_more"]))
    return "\n".join(parts)


def split_note(domain: OwnDomain, split: str) -> str:
    """Which of a user's questions were asked."""
    if split == ALL:
        return f"{domain}: all {len(domain.items)} questions, those for searches too."
    part = f"{len(domain.of_split(split))} of {len(domain.items)} questions"
    rest = "search" if split == "test" else "test"
    return f"{domain}: {part} are of the {split} split; --split {rest} asks the others."


def _alone_text(value: Mapping[str, Any]) -> str:
    """Scores of one model in every domain and task, in per cent."""
    rows = []
    for domain, score in value["domains"].items():
        loss = "" if score["loss"] is None else f"{score['loss']:.3f}"
        accuracy = percent_text(score["accuracy"], score["ci95"])
        rows.append([domain, accuracy, loss, str(score["n"])])
        rows += [
            [f"  {name}", f"{100 * task['accuracy']:.1f}", "", str(task["n"])]
            for name, task in score["tasks"].items()
        ]
    head = ["domain", "accuracy % (95 % interval)", "loss, nats a token", "items"]
    return f"{value['label']}, {value['split']} split\n{text_table(head, rows)}"


def _behaviours(value: Mapping[str, Any], by_label: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Tables of length, loops and divergence; none unless they were measured."""
    if "reply_limits" not in value:
        return []
    limits, parts = value["reply_limits"], list[str]()
    domains, several = list(limits), len({*limits.values()}) > 1
    most = ", ".join(f"{n} ({domain})" for domain, n in limits.items())
    most = most if several else str(next(iter(limits.values())))
    tables: list[tuple[str, str, Callable[[float, Sequence[float]], str]]] = [
        (
            "length",
            f"Mean length of answers in tokens, of at most {most}, with 95 % bootstrap intervals.",
            _number,
        ),
        (
            "loops",
            f"Answers in %, with 95 % Wilson intervals, that ran into the limit of tokens while "
            f"their end repeated one piece at least {LOOP_TIMES} times.",
            percent_text,
        ),
        (
            "kl",
            "KL(model || base) of the next token along the right answers, in nats a token, with "
            "95 % bootstrap intervals; - where the base is unknown or has other tokens.",
            _number,
        ),
    ]
    if "judge" in value:
        tables.pop()
        parts.append("KL compares whole distributions, which a vLLM server does not send.")
    for name, head, text in tables:
        rows = [
            [label, *(_figure(cells[domain]["behaviour"][name], text) for domain in domains)]
            for label, cells in by_label.items()
        ]
        parts += [head, text_table([name, *domains], rows)]
    return parts


def _number(value: float, ends: Sequence[float]) -> str:
    """A number with its interval, all to the decimals that its first three digits have."""
    decimals = min(max(2 - floor(log10(abs(value) or 1)), 0), 6)
    shown, low, high = (f"{number:.{decimals}f}" for number in (value, *ends))
    return f"{shown} ({low}-{high})"


def _one_more(value: Mapping[str, Any]) -> str:
    """Losses by the number of models, the law, and a sentence on one more."""
    rows = [
        [
            str(point["models"]),
            f"{point['merges']} of {point['of']}",
            f"{point['mean']:.4f}",
            f"{point['low']:.4f} to {point['high']:.4f}",
            *(() if point["fit"] is None else [f"{point['fit']:.4f}"]),
        ]
        for point in value["points"]
    ]
    head = ["models k", "merges", "mean loss", "lowest to highest", "floor + a / (k + b)"]
    return (
        "Loss of merges of k of the models, in nats a token; where there are many, some are drawn "
        "with a fixed seed. The law: arXiv:2509.24244.\n"
        f"{text_table(head[: len(rows[0])], rows)}\n{value['sentence']}"
    )


def _perplexities(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per model; bits per byte are comparable between tokenizers."""
    if "masked" in rows[0]:
        return _masked_losses(rows)
    lines = []
    for row in rows:
        perplexity = row["perplexity"]
        low, high = perplexity["ci95"] or (None, None)
        interval = "one window, no interval" if low is None else f"{low:.3f}-{high:.3f}"
        figure = f"{perplexity['value']:.3f} ({interval})"
        lines.append([row["label"], figure, f"{row['bits_per_byte']:.4f}", str(row["tokens"])])
    window, stride, dtype = (rows[0][name] for name in ("window", "stride", "dtype"))
    return (
        f"Perplexity of the text, windows of {window} tokens every {stride}, computed in {dtype}; "
        "95 % bootstrap intervals over windows.\n"
        + text_table(["text", "perplexity", "bits a byte", "tokens"], lines)
    )


def _masked_losses(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line per encoder."""
    lines = []
    for row in rows:
        low, high = row["loss"]["ci95"] or (None, None)
        interval = "one window, no interval" if low is None else f"{low:.3f}-{high:.3f}"
        lines.append([row["label"], f"{row['loss']['value']:.3f} ({interval})", str(row["masked"])])
    tokens, unknown, dtype = (rows[0][name] for name in ("tokens", "unknown", "dtype"))
    return (
        f"Loss at masked tokens, in nats: {MASKED_WORDS} of {tokens} tokens, lines of at most "
        f"{rows[0]['window']} tokens, computed in {dtype}; 95 % bootstrap intervals over lines."
        + (f" The tokenizer does not know {unknown} of the tokens." if unknown else "")
        + "\n"
        + text_table(["text", "masked loss", "masked tokens"], lines)
    )


def _similarities(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        figure, ends = row["correlation"]["value"], row["correlation"]["ci95"]
        lines.append([row["label"], f"{figure:.3f} ({ends[0]:.3f} to {ends[1]:.3f})"])
    return (
        f"Rank correlation (Spearman) of cosines with the scores of {rows[0]['pairs']} pairs; 95 % "
        "bootstrap intervals over pairs.\n" + text_table(["pairs", "correlation"], lines)
    )


def _harness(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        for result in row["results"]:
            interval = "({:.4f}-{:.4f})".format(*result["ci95"]) if result["ci95"] else ""
            figure = f"{result['value']:.4f} {interval}".rstrip()
            names = [row["label"], result["task"], result["metric"]]
            lines.append([*names, figure, str(result["n"])])
    head = ["lm-evaluation-harness", "task", "metric", "value (95 % interval)", "documents"]
    return text_table(head, lines)


def _beside_text(value: Mapping[str, Any]) -> str:
    """Tables of accuracy, loss, retention and forgetting, and the comparison."""
    domains, rows = list(value["items"]), value["rows"]
    counts = ", ".join(f"{domain} {n}" for domain, n in value["items"].items())
    parts = [
        f"{value['split']} split, items: {counts}. Accuracy in %, with 95 % Wilson intervals; "
        "last the mean of the domains.",
        text_table(["accuracy", *domains, "mean"], [_accuracies(row) for row in rows]),
        "Loss of the right answers in nats a token, with 95 % bootstrap intervals.",
        text_table(["loss", *domains], [_losses(row) for row in rows]),
        "Retention: accuracy divided by that of the domain's own model, in %, with 95 % "
        "bootstrap intervals; last the geometric mean.",
        text_table(
            ["retention", *domains, "mean"], [_retentions(row) for row in rows if row["recipe"]]
        ),
    ]
    forgot = [row for row in rows if any(cell["forgetting"] for cell in _cells(row))]
    if forgot:
        parts += [
            "Forgetting: accuracy of the base minus the model's own, on domains it was not made "
            "for, in points; below 0 it knows more than the base.",
            text_table(["forgetting", *domains], [_forgettings(row) for row in forgot]),
        ]
    if value["comparison"]:
        parts.append(value["comparison"]["sentence"])
    return "\n".join(parts)


def _cells(row: dict[str, Any]) -> list[dict[str, Any]]:
    return list(row["domains"].values())


def _accuracies(row: dict[str, Any]) -> list[str]:
    cells = [percent_text(cell["accuracy"], cell["ci95"]) for cell in _cells(row)]
    return [row["label"], *cells, percent_text(row["mean"], row["mean_ci95"])]


def _losses(row: dict[str, Any]) -> list[str]:
    figures = [(cell["loss"], *cell["loss_ci95"]) for cell in _cells(row)]
    return [row["label"], *(f"{loss:.3f} ({low:.3f}-{high:.3f})" for loss, low, high in figures)]


def _retentions(row: dict[str, Any]) -> list[str]:
    retentions = [*(cell["retention"] for cell in _cells(row)), row["mean_retention"]]
    return [row["label"], *(_figure(retention, percent_text) for retention in retentions)]


def _forgettings(row: dict[str, Any]) -> list[str]:
    return [row["label"], *(_figure(cell["forgetting"], signed_text) for cell in _cells(row))]


def _figure(interval: dict[str, Any] | None, text: Callable[[float, Sequence[float]], str]) -> str:
    return text(interval["value"], interval["ci95"]) if interval else "-"
