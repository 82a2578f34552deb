"""Models of the Hub: headers by ranges, no weights; every problem is a separate finding."""

import json
import time
from collections import namedtuple
from pathlib import Path

import pytest
from huggingface_hub import constants

from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.checkpoints.sources import hub as hub_module
from dppa_core.checkpoints.sources.hub import look_up
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.sources.remote_headers import hub_tensors
from dppa_core.checkpoints.weight_file import TensorInfo
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.preflight_checks import hub_facts
from dppa_core.preflight_checks.facts import Finding, Severity
from dppa_core.preflight_checks.preflight_report import PreflightReport, preflight_models
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system import machine
from tests.helpers.hub_server import HubServer
from tests.helpers.low_bit_models import FORMS, READ_ONLY, save, state_apart
from tests.helpers.pickles import save_pickled
from tests.helpers.tiny_models import Shape, random_llama, tuned_llama
from tests.preflight.conftest import BASE, MATH


def weights_sent(hub: HubServer) -> int:
    return sum(count for name, count in hub.sent.items() if name.endswith(".safetensors"))


def header_bytes(folder: Path) -> int:
    starts = [path.read_bytes()[:8] for path in folder.glob("*.safetensors")]
    return sum(8 + int.from_bytes(start, "little") for start in starts)


def tensors_in(folder: Path) -> dict[str, TensorInfo]:
    files = [open_file(path).tensors for path in folder.glob("*.safetensors")]
    return {name: info for tensors in files for name, info in tensors.items()}


def blockers(report: PreflightReport) -> list[Finding]:
    return list(report.blockers)


def findings_about(report: PreflightReport, topic: str, model: str = "") -> list[Finding]:
    return [f for f in report.findings if f.topic == topic and f.model == model]


def test_headers_are_fetched_to_the_byte_and_no_weight(hub: HubServer) -> None:
    report = preflight_models(BASE, [MATH])
    assert not blockers(report), report.blockers
    folders = [hub.models[name].folder for name in (BASE, MATH)]
    sent = weights_sent(hub)
    assert sent == sum(map(header_bytes, folders))
    stored = [path.stat().st_size for folder in folders for path in folder.glob("*.safetensors")]
    assert sent < sum(stored) / 10
    for facts, folder in zip(report.facts, folders, strict=True):
        assert facts.tensors == tensors_in(folder)


def test_bytes_to_fetch_are_those_a_merge_fetches(hub: HubServer, tmp_path: Path) -> None:
    (hub.models[BASE].folder / "pytorch_model.bin").write_bytes(b"x" * 10_000)
    (hub.models[BASE].folder / "README.md").write_text("---\nlicense: mit\n---\n")
    before = preflight_models(BASE, [MATH])
    assert before.estimate and before.estimate.download > 0
    (note,) = findings_about(before, "download")
    assert note.severity is Severity.NOTE
    hub.sent.clear()
    recipe = MergeRecipe(BASE, (DomainModel(MATH, (0.8,)),))
    merge_to_folder(recipe, tmp_path / "out", sync=False)
    assert sum(hub.sent.values()) == before.estimate.download
    after = preflight_models(BASE, [MATH])
    assert after.estimate and after.estimate.download == 0
    assert findings_about(after, "download")[0].severity is Severity.OK


def test_what_the_hub_says_is_told(hub: HubServer) -> None:
    report = preflight_models(BASE, [MATH])
    base, math = report.facts
    assert base.commit == hub.models[BASE].commit and math.licence == "mit"
    assert findings_about(report, "licence")[0].what == "The merge stands under apache-2.0."
    assert findings_about(report, "base", MATH)[0].what == f"Its card names {BASE} as its base."
    assert (
        findings_about(report, "tokenizer", MATH)[0].what
        == "Its tokenizer is the base's, byte for byte."
    )
    assert "main is commit" in findings_about(report, "revision", MATH)[0].what
    assert json.loads(json.dumps(report.to_json()))["ready"] is True


def test_a_pinned_commit_is_not_noted(hub: HubServer) -> None:
    report = preflight_models(f"{BASE}@{hub.models[BASE].commit}", [MATH])
    assert not findings_about(report, "revision", report.base) and findings_about(
        report, "revision", MATH
    )


def test_tokenizers_are_compared_only_where_their_files_differ(hub: HubServer) -> None:
    preflight_models(BASE, [MATH])
    assert "tokenizer.json" not in hub.files()
    path = hub.models[MATH].folder / "tokenizer.json"
    values = json.loads(path.read_text("utf-8"))
    values["added_tokens"].append({**values["added_tokens"][0], "id": 259, "content": "<|x|>"})
    path.write_text(json.dumps(values), "utf-8")
    (finding,) = findings_about(preflight_models(BASE, [MATH]), "tokenizer", MATH)
    assert "1 more ('<|x|>')" in finding.what and "vocabulary: union" in finding.remedy
    assert hub.files().count("tokenizer.json") == 2


def test_a_tokenizer_the_hub_keeps_outside_git_is_told_apart_from_a_local_one(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.models[MATH].large = frozenset({"tokenizer.json"})
    local = str(hub.models[BASE].folder)
    (finding,) = findings_about(preflight_models(local, [MATH]), "tokenizer", MATH)
    assert "byte for byte" in finding.what


def test_weights_that_are_here_are_measured_when_asked(hub: HubServer) -> None:
    for name in (BASE, MATH):
        open_checkpoint(name)
    quiet = preflight_models(BASE, [MATH])
    assert not quiet.distances
    assert any("not been measured" in f.what for f in findings_about(quiet, "base", MATH))
    report = preflight_models(BASE, [MATH], measure=True)
    ((name, distance),) = report.distances
    assert name == MATH and 0 < distance.ratio < 1 and len(distance.layers) == 2
    assert preflight_models(BASE, [MATH]).distances == report.distances  # remembered


def test_a_wrong_base_is_warned_of_once_weights_are_there(hub: HubServer, tmp_path: Path) -> None:
    wrong_base = random_llama(9, Shape(hidden=64, intermediate=128)).save(tmp_path / "other")
    report = preflight_models(str(wrong_base), [str(hub.models[BASE].folder)], measure=True)
    (warning,) = [
        f for f in report.findings if f.severity is Severity.WARNING and f.topic == "base"
    ]
    assert "1.4 times as large" in warning.what and not blockers(report)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (("model.Q4_K_M.gguf",), "Holds model.Q4_K_M.gguf, weights of llama.cpp"),
        (("tf_model.h5",), "It holds tf_model.h5"),
        ((), "holds no weights"),
    ],
)
def test_weights_in_other_formats_are_blockers(
    hub: HubServer, files: tuple[str, ...], words: str
) -> None:
    folder = hub.models[BASE].folder
    (folder / "model.safetensors").unlink()
    for name in files:
        (folder / name).write_bytes(b"x")
    report = preflight_models(BASE, [MATH])
    (finding,) = blockers(report)
    assert finding.model == BASE and words in finding.why + finding.what
    assert report.facts[0].config["model_type"] == "llama"  # the rest is reported anyway


def test_pickles_have_no_header_and_are_seen_once_they_are_here(hub: HubServer) -> None:
    folder = hub.models[MATH].folder
    for path in folder.glob("model*"):
        path.unlink()
    save_pickled(random_llama(1, Shape(hidden=64, intermediate=128)), folder)
    report = preflight_models(BASE, [MATH])
    assert not blockers(report) and hub.sent["pytorch_model.bin"] == 0
    assert findings_about(report, "format", MATH)[0].severity is Severity.NOTE
    assert report.estimate and report.estimate.download > folder.stat().st_size
    open_checkpoint(MATH)
    after = preflight_models(BASE, [MATH])
    assert findings_about(after, "format", MATH)[0].what.startswith("PyTorch's .bin files in BF16")
    assert findings_about(after, "tensors", MATH)[0].severity is Severity.OK


def test_a_quantised_model_is_told_from_its_configuration(hub: HubServer) -> None:
    path = hub.models[MATH].folder / "config.json"
    values = json.loads(path.read_text("utf-8")) | {"quantization_config": {"quant_method": "hqq"}}
    path.write_text(json.dumps(values), "utf-8")
    report = preflight_models(BASE, [MATH])
    assert [f.topic for f in blockers(report)] == ["format"] and "HQQ" in blockers(report)[0].what


def test_errors_of_one_model_hide_nothing_of_the_others(hub: HubServer) -> None:
    hub.models[MATH].gated = True
    report = preflight_models(BASE, [MATH, "acme/nosuch", "zoo:nosuch", "/no/such/folder", "a b"])
    stopped = {f.model for f in blockers(report)}
    assert stopped == {MATH, "acme/nosuch", "zoo:nosuch", "/no/such/folder", "a b"}
    assert findings_about(report, "format", BASE)[0].severity is Severity.OK
    (gated,) = [f for f in blockers(report) if f.model == MATH]
    assert "terms accepted" in gated.what and "hf auth login" in gated.remedy
    assert report.facts[1].gated == "manual"


@pytest.mark.parametrize("header", [b"\xff" * 8, (2**40).to_bytes(8, "little"), b""])
def test_a_damaged_header_is_a_blocker(hub: HubServer, header: bytes) -> None:
    path = hub.models[BASE].folder / "model.safetensors"
    path.write_bytes(header + b"x" * 40)
    (finding,) = blockers(preflight_models(BASE, [MATH]))
    assert finding.topic == "files" and "safetensors" in finding.what + finding.why
    assert weights_sent(hub) < 8 + 1 + header_bytes(hub.models[MATH].folder) + 200


def test_a_configuration_of_gigabytes_is_not_fetched(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_facts, "MAX_SMALL_BYTES", 200)
    (finding,) = [f for f in blockers(preflight_models(BASE, [MATH])) if f.model == BASE]
    assert "config.json" in finding.what and not hub.sent["config.json"]


def test_a_proxy_without_ranges_fetches_no_weights(hub: HubServer) -> None:
    hub.ranges = False
    report = preflight_models(BASE, [MATH])
    assert {f.topic for f in blockers(report)} == {"network"}
    assert "answers no ranges" in blockers(report)[0].why


def test_a_hub_that_is_down_is_asked_once(hub: HubServer) -> None:
    hub.status = 503
    report = preflight_models(BASE, [MATH, "zoo:nosuch"])
    assert [f.topic for f in blockers(report)] == ["network", "network", "reference"]
    assert "not reachable" in blockers(report)[0].what
    assert len(hub.requests) == 1


def test_a_hub_that_says_nothing_is_waited_for_once(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "ANSWER_SECONDS", 0.2)
    hub.answers.clear()
    began = time.monotonic()
    report = preflight_models(BASE, [MATH])
    assert time.monotonic() - began < 2
    assert [f.topic for f in blockers(report)] == ["network"] * 2


def test_offline_what_is_here_is_looked_at(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    open_checkpoint(BASE)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    report = preflight_models(BASE, [MATH])
    (finding,) = blockers(report)
    assert finding.model == MATH and "offline mode is on" in finding.why
    assert "looked at what is on this disk" in findings_about(report, "network", BASE)[0].what
    assert report.facts[0].commit == hub.models[BASE].commit


def test_a_full_disk_is_told_before_the_download(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: usage(50_000))
    assert [f.topic for f in blockers(preflight_models(BASE, [MATH]))] == ["download"]


def test_headers_of_cached_files_are_read_here(hub: HubServer) -> None:
    open_checkpoint(BASE)
    model = look_up(BASE)
    hub.sent.clear()
    assert hub_tensors(model, ["model.safetensors"]) and not hub.sent


def test_an_adapter_of_the_hub_is_counted_and_checked(hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": "other/base"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"x" * 500)
    hub.add("acme/lora", folder, card={"license": "cc-by-nc-4.0"})
    reference = f"{BASE}+acme/lora"
    report = preflight_models(BASE, [reference])
    assert report.facts[1].missing["hub:acme/lora/adapter_model.safetensors"] == 500
    assert findings_about(report, "base", reference)[0].severity is Severity.WARNING
    assert "cc-by-nc-4.0 of hub:acme/lora" in findings_about(report, "licence")[0].what
    assert hub.sent["adapter_model.safetensors"] == 0
    config["peft_type"] = "LOHA"
    (folder / "adapter_config.json").write_text(json.dumps(config))
    hub.add("acme/loha", folder)
    (finding,) = blockers(preflight_models(BASE, [f"{BASE}+acme/loha"]))
    assert "LOHA" in finding.what and finding.model == "hub:acme/loha"


@pytest.mark.parametrize("name", ["fp8", "compressed-int4", "gptq", "nf4", "modelopt"])
def test_models_of_few_bits_are_told_from_headers_and_merged(
    hub: HubServer, tmp_path: Path, name: str
) -> None:
    base = random_llama(1, Shape(hidden=64, intermediate=96))
    forms = FORMS | READ_ONLY | {"modelopt": FORMS["modelopt-nvfp4"]}
    folder = save(base, hub.models[BASE].folder, forms[name])
    if name == "modelopt":
        state_apart(folder)
    tuned_llama(base, 2).save(hub.models[MATH].folder)
    report = preflight_models(BASE, [MATH])
    assert not blockers(report) and not hub.sent["model.safetensors"] > 100_000
    (finding,) = findings_about(report, "format", BASE)
    unknown = name == "nf4"  # its shapes are among the weights
    assert finding.severity is (Severity.NOTE if unknown else Severity.OK)
    assert {"fp8": "FP8", "nf4": "bitsandbytes", "modelopt": "Model Optimizer"}.get(
        name, ""
    ) in finding.what
    recipe = MergeRecipe(BASE, (DomainModel(MATH, (0.8,)),))
    merge_to_folder(recipe, tmp_path / "out", sync=False)
    after = preflight_models(BASE, [MATH])
    assert not blockers(after) and findings_about(after, "tensors", MATH)[0].severity is Severity.OK
