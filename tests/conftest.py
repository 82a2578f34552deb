"""Fixtures every test may use: tiny models on disk, a private cache, one thread, no network."""

import gc
import os
import signal

# Before numpy, torch or gradio are imported anywhere: they read these once.
os.environ.update(
    OMP_NUM_THREADS="1",
    DPPA_COMPILE=os.environ.get("DPPA_COMPILE", "0"),  # numba in every test that names no backend
    NUMBA_NUM_THREADS=os.environ.get("NUMBA_NUM_THREADS", "2"),
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_VERBOSITY="error",
    GRADIO_ANALYTICS_ENABLED="False",
    TOKENIZERS_PARALLELISM="false",
)

for number in (signal.SIGINT, signal.SIGHUP):  # nohup and background scripts ignore it
    if signal.getsignal(number) is signal.SIG_IGN:  # child processes would ignore it, too
        signal.signal(number, lambda *_: None)

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

if os.environ.get("DPPA_CHECK_CALLS"):  # before anything of the library is imported
    # an int is welcome where a float is annotated, as mypy has it
    check = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
    install_import_hook("dppa_core", check)

import components  # noqa: E402, F401  (before Gradio, which else writes stubs in every worker)
from tests.helpers.cases import examples, thinned  # noqa: E402
from tests.helpers.command import Command  # noqa: E402
from tests.helpers.tiny_models import TinyLlama, random_llama, tuned_llama  # noqa: E402

NO_CUDA = "no CUDA device here"
NO_INDEX = "the package index is out of reach"
"""The reasons for which a test may be skipped; the second for one of `make test-all` alone."""
DOMAINS = ("math", "finance", "law")

# Property tests draw the same examples on every run and have no deadline: machines differ.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=examples(50))
FUZZ = int(os.environ.get("DPPA_FUZZ", "2000"))
settings.register_profile("fuzz", deadline=None, derandomize=False, max_examples=FUZZ)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def tiny_models() -> dict[str, TinyLlama]:
    """`base` and three domain models as float32 arrays; 2 layers, 32 wide."""
    base = random_llama(seed=0)
    tuned = {d: tuned_llama(base, seed=i + 1) for i, d in enumerate(DOMAINS)}
    return {"base": base} | tuned


@pytest.fixture(scope="session")
def tiny_zoo(tiny_models: dict[str, TinyLlama], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders base, math, finance, law: bfloat16, tied embeddings, tokenizer. Read only."""
    root = tmp_path_factory.mktemp("zoo")
    for name, model in tiny_models.items():
        model.save(root / name)
    return root


@pytest.fixture
def zoo_env(tiny_zoo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same folder, standing in for the embedded models: `zoo:math` is the tiny one."""
    monkeypatch.setenv("DPPA_ZOO", str(tiny_zoo))
    return tiny_zoo


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep profiles computed by tests out of the user's cache."""
    before = os.environ.get("DPPA_CACHE")
    os.environ["DPPA_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["DPPA_CACHE"]
    else:
        os.environ["DPPA_CACHE"] = before


@pytest.fixture
def dppa(
    zoo_env: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Runs `dppa …` on the tiny models; keeps exit code and output."""
    return Command(capsys, monkeypatch)


@pytest.fixture
def one_torch_thread() -> None:
    """One thread, for tests that run a model and must not starve the rest."""
    import torch  # noqa: PLC0415  (seconds; most tests never need it)

    torch.set_num_threads(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Browser tests are marked, and last: Playwright keeps an event loop running."""
    kept = thinned(items)
    config.hook.pytest_deselected(items=list(set(items) - set(kept)))
    items[:] = kept
    items.sort(key=lambda item: "e2e" in item.path.parts)
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker("browser")


def pytest_collection_finish() -> None:
    """What has been imported stays: going through it again and again takes a tenth of the time."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Count skipped tests as failures, except for a missing GPU or package index."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    every = reporter.stats.get("skipped", []) if reporter else []
    allowed = {f"Skipped: {reason}" for reason in (NO_CUDA, NO_INDEX)}
    skipped = [one for one in every if one.longrepr[2] not in allowed]
    if skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"{len(skipped)} skipped: counted as failures.", red=True)
