"""Uploads: checks first, the repository last; failures leave nothing, no token leaks."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import (
    Cancelled,
    DamagedCheckpoint,
    DppaError,
    InvalidValue,
    MissingCheckpoint,
    NotAllowed,
    Unreachable,
)
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.upload import push_folder
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from tests.helpers.command import Command
from tests.helpers.hub_writing import TOKEN, WritableHub, writable_hub

# huggingface_hub (2.4) passes files in a way its client deprecates
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NAME = "ada/merged"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WritableHub]:
    """A Hub that takes uploads, and a token for it in the environment."""
    server = writable_hub(tmp_path, monkeypatch, TOKEN)
    yield server
    server.close()


@pytest.fixture
def merged(zoo_env: Path, tmp_path: Path) -> Path:
    """A merged folder in several shards."""
    models = tuple(DomainModel(f"zoo:{name}", (0.8,)) for name in ("math", "law"))
    recipe = MergeRecipe("zoo:base", models)
    merge_to_folder(recipe, tmp_path / "merged", shard_size=30_000, sync=False)
    return tmp_path / "merged"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_file_arrives_and_the_model_opens(hub: WritableHub, merged: Path) -> None:
    push = push_folder(merged, NAME)
    assert contents(hub.models[NAME].folder) == contents(merged)
    assert (push.created, push.private, push.commit) == (True, False, hub.models[NAME].commit)
    assert push.files == {name: len(data) for name, data in contents(merged).items()}
    assert len([name for name in push.files if name.endswith(".safetensors")]) > 1
    opened, local = open_checkpoint(f"hub:{NAME}@{push.commit}"), open_checkpoint(str(merged))
    for name in local.names():
        assert opened.raw(name).tobytes() == local.raw(name).tobytes()


def test_the_repository_is_made_after_all_checks_and_before_the_files(
    hub: WritableHub, merged: Path
) -> None:
    push_folder(merged, NAME)
    creation = hub.requests.index("POST /api/repos/create")
    assert hub.requests[:creation] == ["GET /api/whoami-v2", f"GET /api/models/{NAME}"]
    assert hub.changes()[0] == "POST /api/repos/create"
    assert hub.changes()[-1] == f"POST /api/models/{NAME}/commit/main"


@pytest.mark.parametrize("name", ["ada/secret", "lab/secret", "Ada/secret"])
def test_a_private_one_of_the_person_or_the_organisation(
    hub: WritableHub, merged: Path, name: str
) -> None:
    assert push_folder(merged, name, private=True).private
    assert hub.models[name].private


def test_a_token_that_is_handed_in_counts_and_not_that_of_the_computer(
    hub: WritableHub, merged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ofSomebodyElse")
    assert push_folder(merged, NAME, token=TOKEN).created
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for token in ("hf_unknown", ""):
        with pytest.raises(NotAllowed):
            push_folder(merged, "ada/other", token=token)
    assert "ada/other" not in hub.models


def test_stopped_while_files_are_sent_the_new_repository_goes(
    hub: WritableHub, merged: Path
) -> None:
    class WhenMade:
        def is_set(self) -> bool:
            return "POST /api/repos/create" in hub.requests

    with pytest.raises(Cancelled):
        push_folder(merged, NAME, stop=WhenMade())
    assert hub.models == {} and hub.changes()[-1] == "DELETE /api/repos/delete"


def test_a_dry_run_changes_nothing(hub: WritableHub, merged: Path) -> None:
    push = push_folder(merged, NAME, dry_run=True)
    assert not hub.changes() and (push.created, push.commit) == (False, "")
    assert push.files == {name: len(data) for name, data in contents(merged).items()}


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def flip(folder: Path) -> None:
    path = min(folder.glob("model-*.safetensors"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage, error, message", [
    (flip, DamagedCheckpoint, "is not the tensor that was written"),
    (remove("README.md"), MissingCheckpoint, "README.md is missing"),
    (remove("merge.json"), MissingCheckpoint, "no merge.json"),
    (lambda f: (f / "README.md").write_text("# hello\n"), DamagedCheckpoint, "no front matter"),
    (lambda f: (f / ".env").write_text("SECRET=1"), NotAllowed, "holds .env, which no merge"),
    (lambda f: (f / "more").mkdir(), NotAllowed, "holds more, which no merge writes"),
    (lambda f: (f / "vocab.json").symlink_to("/etc/passwd"), NotAllowed, "holds vocab.json"),
], ids=range(7))  # fmt: skip
def test_a_folder_that_is_not_in_order_is_refused_before_the_hub_is_asked(
    hub: WritableHub,
    merged: Path,
    damage: Callable[[Path], object],
    error: type[DppaError],
    message: str,
) -> None:
    damage(merged)
    with pytest.raises(error, match=message):
        push_folder(merged, NAME)
    assert not hub.requests


def test_a_header_that_was_changed_is_found_by_its_file(hub: WritableHub, merged: Path) -> None:
    path = min(merged.glob("model-*.safetensors"))
    path.write_bytes(path.read_bytes().replace(b'"format":"pt"', b'"format":"tf"'))
    with pytest.raises(DamagedCheckpoint, match="differs from the hash in merge.json"):
        push_folder(merged, NAME)
    assert not hub.requests


@pytest.mark.parametrize("name", ["merged", "a/b/c", "ada/", "ada/me rged", ""])
def test_a_name_the_hub_cannot_have_is_refused(merged: Path, name: str) -> None:
    with pytest.raises(InvalidValue, match="owner/name"):
        push_folder(merged, name)


FINE = {"role": "fineGrained", "fineGrained": {"scoped": [
    {"entity": {"type": "user", "name": "ada"}, "permissions": ["repo.content.read"]},
    {"entity": {"type": "org", "name": "lab"}, "permissions": ["repo.content.read", "repo.write"]},
]}}  # fmt: skip


@pytest.mark.parametrize("name, token, message", [
    ("someone/merged", {"role": "write"}, "token is of ada, who cannot write for someone"),
    ("museum/merged", {"role": "write"}, "may not write there"),
    (NAME, {"role": "read"}, "may not write there. Make one that may at"),
    (NAME, FINE, "may not write there"),
])  # fmt: skip
def test_a_token_that_may_not_write_is_refused_before_a_repository_is_made(
    hub: WritableHub, merged: Path, name: str, token: dict[str, object], message: str
) -> None:
    hub.me["auth"]["accessToken"] = token
    with pytest.raises(NotAllowed, match=message):
        push_folder(merged, name)
    assert not hub.changes()


def test_a_token_for_one_organisation_writes_there(hub: WritableHub, merged: Path) -> None:
    hub.me["auth"]["accessToken"] = FINE
    assert push_folder(merged, "lab/merged").created


def test_without_a_token_nobody_is_asked(
    hub: WritableHub, merged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(NotAllowed, match="Nobody is logged in.*hf auth login"):
        push_folder(merged, NAME)
    assert not hub.requests


def test_a_dry_run_without_a_token_checks_what_is_here(
    hub: WritableHub, merged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    push = push_folder(merged, NAME, dry_run=True)
    assert push.files and not push.commit and not hub.requests
    assert push.notes[-1].startswith("Nobody is logged in to the Hub, so one thing is left")
    (merged / "README.md").unlink()
    with pytest.raises(MissingCheckpoint, match="README.md is missing"):
        push_folder(merged, NAME, dry_run=True)


def test_the_token_of_the_login_is_used(
    hub: WritableHub, merged: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "no-token").write_text(TOKEN)
    assert push_folder(merged, NAME).created


def test_a_token_the_hub_does_not_know_is_told(
    hub: WritableHub, merged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    with pytest.raises(NotAllowed, match="does not know this token"):
        push_folder(merged, NAME)


def test_a_name_that_is_taken_is_refused(hub: WritableHub, merged: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    hub.add(NAME, tmp_path / "other")
    with pytest.raises(InvalidValue, match="this repository exists already.*--overwrite"):
        push_folder(merged, NAME)
    with pytest.raises(InvalidValue, match="exists already, and is public"):
        push_folder(merged, NAME, overwrite=True, private=True)
    assert not hub.changes()


def test_an_existing_one_gets_a_commit_and_loses_what_merges_wrote(
    hub: WritableHub, merged: Path, tmp_path: Path
) -> None:
    old = tmp_path / "other"
    old.mkdir()
    for name in ("model.safetensors", "notes.txt", "density-9.svg", "README.md"):
        (old / name).write_text("old")
    hub.add(NAME, old)
    push = push_folder(merged, NAME, overwrite=True)
    assert (push.created, push.removed) == (False, ("density-9.svg", "model.safetensors"))
    assert contents(old) == contents(merged) | {"notes.txt": b"old"}


REFUSED: list[tuple[str, int, type[DppaError], str]] = [
    ("PUT /lfs/", 403, NotAllowed, "the Hub refuses"),
    ("objects/batch", 403, NotAllowed, "the Hub refuses"),
    ("/commit/", 400, InvalidValue, "rejects it"),
    ("/preupload/", 429, Unreachable, "upload broke off"),
    ("/lfs-verify", 404, InvalidValue, "rejects it"),
]


@pytest.mark.parametrize("pattern, status, error, message", REFUSED, ids=[r[0] for r in REFUSED])
def test_what_was_made_for_an_upload_that_failed_is_removed(
    hub: WritableHub,
    merged: Path,
    monkeypatch: pytest.MonkeyPatch,
    pattern: str,
    status: int,
    error: type[DppaError],
    message: str,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # before it tries again
    hub.refuse[pattern] = status
    with pytest.raises(error, match=message):
        push_folder(merged, NAME)
    assert hub.changes()[-1] == "DELETE /api/repos/delete" and NAME not in hub.models


def test_what_was_made_is_removed_when_somebody_interrupts(
    hub: WritableHub, merged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **settings: object) -> None:
        assert NAME in hub.models
        raise KeyboardInterrupt

    monkeypatch.setattr("huggingface_hub.HfApi.create_commit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        push_folder(merged, NAME)
    assert NAME not in hub.models


def test_a_repository_that_was_there_is_not_removed(
    hub: WritableHub, merged: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    hub.add(NAME, tmp_path / "other")
    hub.refuse["/commit/"] = 400
    with pytest.raises(InvalidValue):
        push_folder(merged, NAME, overwrite=True)
    assert NAME in hub.models and "DELETE /api/repos/delete" not in hub.requests


def test_one_that_cannot_be_removed_is_told(hub: WritableHub, merged: Path) -> None:
    hub.refuse |= {"/commit/": 400, "DELETE": 403}
    with pytest.raises(Unreachable, match="could not be removed.*Remove it at"):
        push_folder(merged, NAME)


def test_a_name_that_was_taken_meanwhile_is_told(hub: WritableHub, merged: Path) -> None:
    hub.refuse["repos/create"] = 409
    with pytest.raises(InvalidValue, match="exists already"):
        push_folder(merged, NAME)
    assert "DELETE /api/repos/delete" not in hub.requests


def test_the_token_is_in_no_message_and_no_log(
    hub: WritableHub, merged: Path, dppa: Command, caplog: pytest.LogCaptureFixture
) -> None:
    """The Hub of this test sends the token back in every refusal."""
    caplog.set_level(logging.INFO)
    for pattern in ("whoami", "repos/create", "/commit/", "PUT"):
        hub.refuse = {pattern: 403}
        assert dppa("push", merged, NAME) == 1
        assert "the Hub refuses" in dppa.err and dppa.err.count("\n") == 1
        assert TOKEN not in dppa.err + dppa.out
    assert TOKEN not in caplog.text


def test_without_network_it_is_told(
    hub: WritableHub, merged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unreachable, match="offline mode is on"):
        push_folder(merged, NAME)


def test_the_command(hub: WritableHub, merged: Path, dppa: Command) -> None:
    assert dppa("push", merged, NAME, "--dry-run") == 0
    assert "nothing was uploaded" in dppa.out and "README.md" in dppa.out
    assert dppa("push", merged, NAME, "--private", "--json") == 0
    assert dppa.json["created"] and dppa.json["private"]
    assert dppa.json["url"] == f"{hub.url}/{NAME}"
    assert "No licence is stated by zoo:base" in " ".join(dppa.json["notes"])
    assert dppa("push", merged, NAME) == 1
    assert "this repository exists already" in dppa.err


def test_places_of_this_computer_are_told(hub: WritableHub, zoo_env: Path, tmp_path: Path) -> None:
    recipe = MergeRecipe("zoo:base", (DomainModel(str(zoo_env / "math")),))
    merge_to_folder(recipe, tmp_path / "local", sync=False)
    push = push_folder(tmp_path / "local", NAME, dry_run=True)
    assert push.notes[0].endswith(f"name places of this computer: {zoo_env / 'math'}.")
