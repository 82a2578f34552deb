"""Statistics of domain models on calibration text: from the cache, or by running the model.

PyTorch and transformers are imported only where a model must be run.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Unpack

from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.folders.small_files import known_sha256
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.vocabulary.alignment import align
from dppa_core.profiling.calibration.store import Draft, Stored, open_stored
from dppa_core.profiling.calibration.texts import CalibrationText, read_source, samples
from dppa_core.profiling.profile import kept_profile
from dppa_core.profiling.significance import RANDOM, ByElement, ByInput, Score, Scoring
from dppa_core.progress import RunControl, check, report
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.pruning_parameters import CALIBRATED_KINDS
from dppa_core.recipes.calibration import Calibration, calibration_of
from dppa_core.system.folder_cache import cache_folder

Kind = Literal["fisher", "norms", "gram"]
MAX_SAMPLE_TOKENS = 512
"""Most tokens of one sample, whatever the model could read."""
_FORMAT = 1  # raise it if the same model and text give other statistics
_TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("chat_template.jinja", "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Statistics of a domain model on its calibration text."""

    kind: Kind
    key: str
    """Equal for the same model and text."""
    arrays: Mapping[str, Float32[ndarray, ...]]
    """Tensor of the domain model -> fisher: one number per element, flat; norms: one per input;
    gram: inputs x inputs. The last two for modules only."""
    axes: Mapping[str, int]
    """Module -> axis of its inputs in the weight: 1, but 0 in GPT-2. Empty for fisher."""
    norm: float
    """Euclidean norm of all `arrays` together; 0 if it is not needed."""

    def score(self, shapes: Mapping[str, tuple[int, ...]]) -> Score:
        """Ranking of elements by it; for fisher and norms."""
        if self.kind == "fisher":
            scorings: dict[str, Scoring] = {n: ByElement(a) for n, a in self.arrays.items()}
            return Score("fisher", self.key, scorings)
        runs = {name: 1 if axis else shapes[name][1] for name, axis in self.axes.items()}
        inputs: dict[str, Scoring] = {n: ByInput(self.arrays[n], runs[n]) for n in runs}
        return Score("activation", self.key, inputs)


def statistics(
    kind: Kind,
    base: Checkpoint,
    tuned: Checkpoint,
    calibration: Calibration,
    *,
    label: str,
    **control: Unpack[RunControl],
) -> Statistics:
    """Statistics of a domain model on a text, in the tokens of the base's tokenizer.

    Args:
        progress, stop: Called after each sample; ends the run between two.

    Raises:
        InvalidValue: the text cannot be read, or has nothing to predict.
        CheckpointError: the model cannot be run, or its layers cannot be observed.
    """
    source = read_source(calibration, control.get("stop"))
    key = _key(kind, base, tuned, source)
    stored = open_stored(_path(key))  # what the processor computed counts everywhere
    if stored is None:
        key, stored = _of_gpu(kind, (base, tuned), source)
    if stored is None:
        key, stored = _measured(kind, (base, tuned), source, label, **control)
    return Statistics(
        kind, key, stored.arrays, stored.about.get("axes", {}), stored.about.get("norm", 0.0)
    )


def score_of(
    significance: str,
    base: Checkpoint,
    tuned: Checkpoint,
    calibration: Calibration | None,
    *,
    label: str,
    **control: Unpack[RunControl],
) -> Score | None:
    """The score that ranks the elements of a delta; None for |d|.

    Args:
        significance: One of `SIGNIFICANCE_KINDS`.
        base: Its folder has the tokenizer.
        calibration: The text; if None that of the model's own domain, see `calibration_of`.
        progress, stop: See `statistics`.
    """
    if significance == "random":
        return RANDOM
    if significance not in CALIBRATED_KINDS:
        return None
    kind: Kind = "fisher" if significance == "fisher" else "norms"
    text = calibration_of(label, calibration)
    measured = statistics(kind, base, tuned, text, label=label, **control)
    return measured.score({name: tuned.shape(name) for name in tuned.names()})


def ranked_profile(
    base: str,
    finetuned: str,
    significance: str,
    calibration: Calibration | None = None,
    *,
    public: bool = False,
    workers: int | None = None,
    **control: Unpack[RunControl],
) -> DeltaProfile:
    """As `cached_profile`, with the elements ranked by any significance.

    Args:
        significance, calibration: See `score_of`.
        public: Strangers choose; see `open_checkpoint` and `Calibration.check_public`.
        workers: See `profile_deltas`.
        progress, stop: Called after each sample and each module; ends it between two of them.
    """
    if public and calibration is not None:
        calibration.check_public()
    base_weights = open_checkpoint(base, public=public, **control)
    tuned_weights = open_checkpoint(finetuned, public=public, **control)
    pair = align(base_weights, (tuned_weights,), (finetuned,))
    reader = tuned_weights if pair.foreign else base_weights
    score = score_of(significance, reader, tuned_weights, calibration, label=finetuned, **control)
    names, aligned = (base, finetuned), (pair.base, pair.tuned[0])
    return kept_profile(*aligned, names=names, score=score, workers=workers, **control)


def _path(key: str) -> Path:
    return cache_folder("statistics") / f"{key}.bin"


def _key(
    kind: Kind,
    base: Checkpoint,
    tuned: Checkpoint,
    source: CalibrationText,
    place: tuple[str, ...] = (),
) -> str:
    """Differs by model, tokenizer and text, and by the GPU that computes (`place_of`)."""
    digest = hashlib.sha256()
    parts = (str(_FORMAT), kind, str(MAX_SAMPLE_TOKENS), tuned.content_hash(), source.digest)
    config = json.dumps(tuned.config, sort_keys=True)
    files = (f"{name}:{known_sha256(base.folder / name)}" for name in _TOKENIZER_FILES)
    for part in (*parts, config, *files, *place):
        digest.update(f"{len(part)}\0{part}".encode())
    return digest.hexdigest()


def _of_gpu(
    kind: Kind, pair: tuple[Checkpoint, Checkpoint], source: CalibrationText
) -> tuple[str, Stored | None]:
    """Key of statistics that a GPU of this machine computed, and these statistics if any."""
    # Heavy: torch and transformers, only if the cache has nothing of the processor.
    from dppa_core.profiling.calibration import collectors  # noqa: PLC0415

    place = collectors.likely_place(pair[1])
    key = _key(kind, *pair, source, place)
    return key, open_stored(_path(key)) if place else None


def _measured(
    kind: Kind,
    pair: tuple[Checkpoint, Checkpoint],
    source: CalibrationText,
    label: str,
    **control: Unpack[RunControl],
) -> tuple[str, Stored]:
    """Key of the statistics of a loaded model, and the statistics: new ones, or cached ones if
    the model lies elsewhere than expected."""
    report(control.get("progress"), 0, 1, f"{label} is loaded to read its calibration text")
    # Heavy: torch and transformers, only if the cache has nothing.
    from dppa_core.models.devices import place_of  # noqa: PLC0415
    from dppa_core.models.loading import load_tokenizer  # noqa: PLC0415
    from dppa_core.profiling.calibration import collectors  # noqa: PLC0415

    tokenizer = load_tokenizer(pair[0], label)
    check(control.get("stop"))
    subject = collectors.CalibratedModel(pair[1], label)
    place = place_of(subject.model)
    key = _key(kind, *pair, source, place)
    path = _path(key)
    cached = open_stored(path) if place else None
    if cached is not None:  # of another GPU than the expected one
        return key, cached
    longest = min(MAX_SAMPLE_TOKENS, subject.positions)
    texts = samples(source, tokenizer, longest, subject.vocabulary)
    if kind == "fisher":
        sizes = {name: (math.prod(shape),) for name, shape in subject.shapes.items()}
        with closing(Draft(path, sizes)) as drafted:
            norm = collectors.collect_fisher(subject, texts, drafted.arrays, **control)
            return key, drafted.finish({"norm": norm})
    gram = kind == "gram"
    with closing(Draft(path, collectors.input_shapes(subject, gram=gram))) as drafted:
        axes = collectors.collect_inputs(subject, texts, drafted.arrays, gram=gram, **control)
        return key, drafted.finish({"axes": axes})
