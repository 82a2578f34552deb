"""The commands of the embedded models: their training and report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dppa_core.checkpoints.sources.fetchable import FETCHABLE
from dppa_core.checkpoints.sources.zoo import ZOO_DOMAINS, zoo_root
from dppa_core.cli.options import JsonFlag
from dppa_core.cli.output import emit, teller
from dppa_core.errors import UnknownName, did_you_mean, shown
from dppa_core.system.atomic_folders import check_file
from dppa_lab.commands.kept_output import OutOption, SearchItems, TestItems, emit_and_keep
from dppa_lab.commands.studies import conflicts, encoders, forms, study, survey
from dppa_lab.zoo.manners import MANNERS
from dppa_lab.zoo.regimes import Training, regime_named
from dppa_lab.zoo.spec import size_named

zoo_app = typer.Typer(help="Train the embedded models, or measure what they show.")


@zoo_app.command()
def train(
    size: Annotated[str, typer.Option(help="small, medium, embedded or large.")] = "embedded",
    regime: Annotated[
        str,
        typer.Option(
            help="settled, plain (or a part of its steps, as plain-25), large, or between them as "
            "replay-25-pull-5; on a language model lora, full, large, or for manners brief-1, -3, "
            "-10, -40."
        ),
    ] = "settled",
    seed: Annotated[int, typer.Option(min=0, help="Another one makes other weights.")] = 0,
    base: Annotated[
        str,
        typer.Option(
            help="A base that `dppa zoo train` made, as zoo:base, or a language model, as "
            "smollm2; none is trained."
        ),
    ] = "",
    domains: Annotated[
        str,
        typer.Option(
            help="The domain models to train; settling needs all. Of a language model also french, "
            "json, letter: manners of answering."
        ),
    ] = ",".join(ZOO_DOMAINS),
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the model folders go; out/zoos/SIZE-REGIME-SEED, out/sizes/SIZE without "
            "another regime or seed, or into the program."
        ),
    ] = None,
    work: Annotated[Path, typer.Option(help="Where interrupted stages wait.")] = Path("zoo-work"),
    workers: Annotated[int, typer.Option(min=1, max=4, help="Processes, one thread each.")] = 2,
) -> None:
    """Train all embedded models from scratch, seeded; an interrupted run goes on where it was.

    The same recipe makes smaller and larger ones, and models that never met each other.
    """
    names, real = domains.split(","), base.removeprefix("zoo:") in FETCHABLE
    known = (*ZOO_DOMAINS, *MANNERS) if real else ZOO_DOMAINS
    for name in names:
        if name not in known:
            raise UnknownName(
                f"--domains: no domain model {shown(name)}. {did_you_mean(name, known)}"
            )
    if real:
        _tune(base.removeprefix("zoo:"), regime, names, seed, out, work, workers)
        return
    training = Training(size_named(size), regime_named(regime), seed, base)
    from dppa_lab.zoo.build import train_zoo  # noqa: PLC0415  (imports torch)

    typer.echo(training.summary(), err=True)
    train_zoo(out or _folder(training), work, training, domains=names, workers=workers)


def _tune(
    name: str,
    regime: str,
    domains: list[str],
    seed: int,
    out: Path | None,
    work: Path,
    workers: int,
) -> None:
    from dppa_lab.zoo.language_model import tuning_named  # noqa: PLC0415  (imports torch)
    from dppa_lab.zoo.tune import tune_models  # noqa: PLC0415

    tuning = tuning_named(regime)
    folder = out or Path("out/zoos", f"{name}-{tuning.name}-{seed}")
    tune_models(f"zoo:{name}", tuning, folder, work, domains=domains, seed=seed, workers=workers)


def _folder(training: Training) -> Path:
    if training == Training():
        return zoo_root()
    if training == Training(training.size):
        return Path("out/sizes", training.size.name)
    return Path("out/zoos", f"{training.size.name}-{training.regime.name}-{training.seed}")


@zoo_app.command()
def near(
    out: Annotated[
        Path | None, typer.Option(help="Where the folders go; into the program if unset.")
    ] = None,
    work: Annotated[Path, typer.Option(help="Where interrupted stages wait.")] = Path("zoo-work"),
    workers: Annotated[int, typer.Option(min=1, max=4, help="Processes, one thread each.")] = 2,
) -> None:
    """Train the embedded set of small deltas: a base that knows the answers, and packs on it."""
    from dppa_lab.zoo.near import train_near  # noqa: PLC0415  (imports torch)

    train_near(out or zoo_root(), work, workers=workers)


@zoo_app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A set: base and domain models.")],
    as_json: JsonFlag = False,
) -> None:
    """Measure a set's models alone and in whole sums: whether pruning can matter in it."""
    from dppa_lab.zoo.set_check import check_set  # noqa: PLC0415  (imports torch)

    result = check_set(folder, say=teller(quiet=as_json))
    emit(result.to_json(), result.text(), as_json=as_json)


@zoo_app.command()
def report(
    out: Annotated[
        Path | None, typer.Option(help="Write the measured report here, as JSON.")
    ] = None,
    limit: TestItems = None,
    search_limit: SearchItems = 200,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Processes, one thread each.")] = 2,
    as_json: JsonFlag = False,
) -> None:
    """Measure base, domain models and merges on the test split, for the results page."""
    from dppa_lab.reports.result_tables import result_tables  # noqa: PLC0415
    from dppa_lab.zoo.results import merge_results  # noqa: PLC0415  (imports torch)

    if out is not None:
        check_file(out)
    results = merge_results.measure_results(
        limit=limit, search_limit=search_limit, workers=workers, say=teller(quiet=as_json)
    )
    emit_and_keep(results, result_tables(results), out, as_json=as_json)


@zoo_app.command()
def coefficients(
    work: Annotated[Path, typer.Option(help="Where logs of AdaMerging wait.")] = Path("zoo-work"),
    out: OutOption = None,
    limit: TestItems = None,
    search_limit: SearchItems = 60,
    ways: Annotated[
        int | None, typer.Option(min=1, help="Ways of looking, the first ones; all if unset.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare AdaMerging with the best uniform coefficient; goes on where it was stopped."""
    from dppa_lab.reports.result_tables import coefficient_tables  # noqa: PLC0415
    from dppa_lab.zoo.results.coefficients import WAYS, measure_coefficients  # noqa: PLC0415  (imports torch)

    if out is not None:
        check_file(out)
    measured = measure_coefficients(
        work, limit=limit, search_limit=search_limit, ways=WAYS[:ways], say=teller(quiet=as_json)
    )
    emit_and_keep(measured, coefficient_tables(measured), out, as_json=as_json)


for _command in (conflicts, encoders, forms, study, survey):
    zoo_app.command()(_command)
