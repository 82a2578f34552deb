"""Any model, stored and merged in any way, has the bytes of the slow reference.

With `--hypothesis-profile=fuzz`, pytest draws thousands of examples, other ones every time.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from dppa_core.checkpoints import chunks
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.shard_writer import SHARD_SIZE
from dppa_core.merging import tensor_tasks
from dppa_core.merging.passes import whole_pass
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.families import FAMILIES, LAYERS, random_model
from tests.helpers.tiny_models import to_bytes, write_file
from tests.reference import slow

pytestmark = pytest.mark.usefixtures("one_torch_thread")

DTYPES = ("BF16", "F16", "F32")
NAMES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
RATES = st.lists(st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.9, 0.97]), min_size=1, max_size=4)
FACTORS = st.sampled_from([0.0, 0.5, 1.0, 1.6])
TIED = ("llama", "qwen2", "qwen3", "mistral", "gemma", "gpt2", "opt", "mixtral", "qwen3_moe")

Arrays = dict[str, np.ndarray]
T = TypeVar("T")


@dataclass(frozen=True)
class Stored:
    """How a model is stored."""

    dtype: str
    shards: int


@dataclass(frozen=True)
class Domain:
    """A domain model: its deltas' seed, and its part of the recipe."""

    stored: Stored
    seed: int
    levels: tuple[float, ...]
    factors: tuple[float, ...]
    weight: float


@dataclass(frozen=True)
class Case:
    """A merge, and how it is run."""

    family: str
    tied: bool
    layers: int
    base: Stored
    domains: tuple[Domain, ...]
    method: str
    ties: str
    dtype: str
    shard_size: int
    workers: int
    backend: str
    at_once: bool
    """Whether whole tensors are merged in one pass, as in large models."""
    run: int
    """Elements read at a time in that case."""


@st.composite
def stored(draw: st.DrawFn) -> Stored:
    return Stored(draw(st.sampled_from(DTYPES)), draw(st.integers(1, 3)))


@st.composite
def domains(draw: st.DrawFn, method: str) -> Domain:
    levels = tuple(sorted(set(draw(RATES)), reverse=True))
    if method == "magnitude":
        levels = levels[-1:]
    if method == "task_arithmetic":
        levels = (0.0,)
    factors = tuple(draw(FACTORS) for _ in levels) if method == "dppa" else (1.0,)
    weight = draw(st.sampled_from([0.0, 0.3, 1.0, -0.5]))
    return Domain(draw(stored()), draw(st.integers(1, 4)), levels, factors, weight)


@st.composite
def cases(draw: st.DrawFn, family: str) -> Case:
    place = list(FAMILIES).index(family)

    def one_of(options: Sequence[T]) -> T:
        """A different first choice per family, since few are drawn of each."""
        return options[(draw(st.integers(0, len(options) - 1)) + place) % len(options)]

    method = one_of(["dppa", "magnitude", "dppa", "task_arithmetic"])
    return Case(
        family=family,
        tied=one_of([False, True]) if family in TIED else False,
        layers=one_of([2, 1, 3]),
        base=Stored(one_of(DTYPES), one_of([1, 2, 3])),
        domains=tuple(draw(st.lists(domains(method), min_size=1, max_size=3))),
        method=method,
        ties="exact" if method == "task_arithmetic" else one_of(["exact", "prune"]),
        dtype=one_of(["BF16", "F32", "F16"]),
        shard_size=one_of([SHARD_SIZE, 4_000, 30_000]),
        workers=one_of([1, 2, 3]),
        backend=one_of(["numba", "torch"]),
        at_once=one_of([True, False]),
        run=one_of([128, chunks.RUN]),
    )


Template = Callable[[Case], tuple[dict[str, Any], Arrays]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The config and the float32 tensors of a family as transformers saves them, made once."""
    families: dict[tuple[str, bool, int], tuple[dict[str, Any], Arrays]] = {}

    def family(case: Case) -> tuple[dict[str, Any], Arrays]:
        key = case.family, case.tied, case.layers
        if key not in families:
            folder = tmp_path_factory.mktemp("template")
            changed: dict[str, Any] = {LAYERS.get(case.family, "num_hidden_layers"): case.layers}
            if case.family in TIED:
                changed["tie_word_embeddings"] = case.tied
            random_model(case.family, **changed).save_pretrained(folder)
            config = json.loads((folder / "config.json").read_text("utf-8"))
            families[key] = config, load_file(folder / "model.safetensors")
        return families[key]

    return family


def write(folder: Path, config: dict[str, Any], arrays: Arrays, how: Stored) -> Path:
    """A checkpoint folder; tensors are dealt out to the shards in turn."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    if how.shards == 1:
        write_file(folder / "model.safetensors", arrays, how.dtype)
        return folder
    files = [f"model-{i + 1:05d}-of-{how.shards:05d}.safetensors" for i in range(how.shards)]
    places = {name: files[i % how.shards] for i, name in enumerate(arrays)}
    for file in files:
        part = {name: value for name, value in arrays.items() if places[name] == file}
        write_file(folder / file, part, how.dtype)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    return folder


def tuned(arrays: Arrays, seed: int) -> Arrays:
    """A domain model: heavy-tailed deltas, and some unchanged elements."""
    rng, tensors = np.random.default_rng(seed), {}
    for name, weight in arrays.items():
        delta = 0.01 * rng.standard_t(4, weight.shape) * (rng.random(weight.shape) < 0.9)
        tensors[name] = (weight + delta).astype(np.float32)
    return tensors


def expected(case: Case, root: Path) -> Arrays:
    """The merge by the slow reference."""
    treated = [
        slow.Treated(slow.read(root / str(number)), domain.levels, domain.factors, domain.weight)
        for number, domain in enumerate(case.domains)
    ]
    strength = 0.08 if case.method == "dppa" else 0.0
    base = slow.read(root / "base")
    return slow.merge(base, treated, ties=case.ties, strength=strength).arrays


def recipe(case: Case, root: Path) -> MergeRecipe:
    models = tuple(
        DomainModel(str(root / str(number)), domain.levels, domain.factors, domain.weight)
        for number, domain in enumerate(case.domains)
    )
    parameters = {} if case.method == "task_arithmetic" else {"ties": case.ties}
    base, dtype = str(root / "base"), NAMES[case.dtype]
    return MergeRecipe(base, models, case.method, parameters, dtype=dtype)


@pytest.mark.cases(4)
@pytest.mark.parametrize("family", FAMILIES)
@given(data=st.data())
@settings(
    max_examples=settings().max_examples // 12,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_any_merge_of_any_model_equals_the_slow_reference(
    template: Template, family: str, data: st.DataObject
) -> None:
    case = data.draw(cases(family))
    config, arrays = template(case)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensor_tasks, "WHOLE_MIN_NUMEL", 0 if case.at_once else math.inf)
        patch.setattr(whole_pass, "RUN", case.run)
        root = Path(folder)
        write(root / "base", config, arrays, case.base)
        for number, domain in enumerate(case.domains):
            write(root / str(number), config, tuned(arrays, domain.seed), domain.stored)
        merge_to_folder(
            recipe(case, root),
            root / "out",
            backend=case.backend,
            shard_size=case.shard_size,
            workers=case.workers,
            sync=False,
        )
        merged, reference = SafetensorsCheckpoint(root / "out"), expected(case, root)
        assert set(merged.names()) == set(reference)
        for name in merged.names():
            assert merged.dtype(name) == case.dtype
            assert merged.shape(name) == reference[name].shape
            assert merged.raw(name).tobytes() == to_bytes(reference[name].ravel(), case.dtype), name
