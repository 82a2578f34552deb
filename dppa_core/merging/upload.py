"""Upload of a merged folder to the Hub.

Everything is checked before a repository is made; one made for an upload that fails is removed. The
token is the given one, or the one that huggingface_hub finds (HF_TOKEN, or the login).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dppa_core.checkpoints.folders.small_files import unreadable
from dppa_core.checkpoints.sources.hub import check_name
from dppa_core.checkpoints.sources.references import hub_parts, stacked_models
from dppa_core.checkpoints.sources.refusals import no_token, upload_errors
from dppa_core.errors import DamagedCheckpoint, InvalidValue, NotAllowed, shown
from dppa_core.merging.folder import CARD, is_written, merge_entries
from dppa_core.merging.inputs import references
from dppa_core.merging.verify import MergeFolder, check_merge
from dppa_core.preflight_checks.licences import merged_licence
from dppa_core.progress import Progress, Stop, check, report

_UNCHECKED = (
    "Nobody is logged in to the Hub, so one thing is left unchecked: whether this name is free and "
    "you may write there. Log in with `hf auth login`, or set HF_TOKEN."
)
_WRITERS = ("admin", "write", "contributor")


@dataclass(frozen=True, slots=True)
class Push:
    """An upload, done or planned."""

    name: str
    """owner/name."""
    url: str
    """Empty if nobody is logged in."""
    private: bool
    """For a new repository, the requested value; the owner's default may be the same."""
    created: bool
    """True if the repository is new."""
    commit: str
    """Empty if nothing was uploaded."""
    files: Mapping[str, int]
    """File -> bytes, in their order."""
    removed: tuple[str, ...]
    """Files of an earlier merge in that repository, which this one lacks."""
    notes: tuple[str, ...]
    """Remarks to read before others see the merge."""


def push_folder(
    folder: str | Path,
    name: str,
    *,
    private: bool = False,
    overwrite: bool = False,
    dry_run: bool = False,
    token: str | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> Push:
    """Upload a merged folder in one commit.

    In this order: there is a token; the folder is complete and every tensor has the hash that was
    recorded; the files are read and hashed; the token is known and may write there; the name is
    free. Only then is the repository made, and the files are sent.

    Args:
        folder: A folder that `merge_to_folder` made.
        name: owner/name.
        private: Makes a new repository private; the owner's default otherwise.
        overwrite: Adds the files to an existing repository as its next commit.
        dry_run: Does all but making a repository and sending files. Without a token only
            local checks are made.
        token: The user's; this computer's own if unset.
        progress: Called after each file, while they are hashed.
        stop: Ends the work; a repository that was made for it is removed again.

    Raises:
        CheckpointError: the folder is incomplete, or changed since it was written.
        InvalidValue: the name is malformed, or taken.
        NotAllowed: the token is missing or may not write there; the folder has foreign files.
        Unreachable: the Hub does not answer, or the upload fails; nothing is left there.
    """
    hub = _hub(name, token, dry_run=dry_run)  # without a token nothing is hashed
    merge = check_merge(Path(folder))
    _check_front_matter(merge.folder / CARD)
    additions, notes = _stage(merge, progress, stop), _notes(merge)
    sizes = {file: addition.upload_info.size for file, addition in additions.items()}
    if hub is None:
        return Push(name, "", private, not dry_run, "", sizes, (), (*notes, _UNCHECKED))
    hub.check_token()
    old = hub.look(overwrite=overwrite, private=private)
    new, commit = old is None, ""
    removed = tuple(file for file in old or () if is_written(file) and file not in additions)
    check(stop)
    if not dry_run:
        with hub.repository(new=new, private=private, stop=stop):
            commit = hub.send(additions, removed)
    private = private if new else hub.private
    return Push(name, hub.url, private, new and not dry_run, commit, sizes, removed, notes)


def _hub(name: str, token: str | None, *, dry_run: bool) -> _Hub | None:
    """The Hub as a token sees it; None in a dry run without a token."""
    check_name(name, "")
    if name.count("/") != 1:
        raise InvalidValue(f"{shown(name)}: a repository of the Hub is owner/name.")
    try:
        return _Hub(name, token)
    except NotAllowed:
        if dry_run:
            return None
        raise


def _check_front_matter(card: Path) -> None:
    try:
        parts = card.read_text("utf-8").split("---\n", 2)
        values = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except (OSError, ValueError, yaml.YAMLError):
        values = None
    if not isinstance(values, dict):
        raise DamagedCheckpoint(
            f"{card}: has no front matter that the Hub can read. `dppa card {card.parent} --out "
            f"{card.parent} --overwrite` makes the card again."
        )


def _stage(merge: MergeFolder, progress: Progress | None, stop: Stop | None) -> dict[str, Any]:
    """Every file of the folder, read and hashed, ready to be sent."""
    from huggingface_hub import CommitOperationAdd  # noqa: PLC0415  (a third of a second)

    folder, staged = merge.folder, {}
    paths = merge_entries(folder)
    for index, path in enumerate(paths):
        check(stop)
        name = path.relative_to(folder).as_posix()
        report(progress, index, len(paths), f"hash {name}")
        if not is_written(name) or not path.is_file() or path.is_symlink():
            raise NotAllowed(
                f"{folder}: holds {name}, which no merge writes, and is not uploaded. Move it away."
            )
        try:
            staged[name] = CommitOperationAdd(name, str(path))
            sha256 = staged[name].upload_info.sha256.hex()
        except OSError as error:
            raise unreadable(path, error) from error
        if merge.record.files.get(name, sha256) != sha256:
            raise DamagedCheckpoint(
                f"{path}: differs from the hash in merge.json. A file that was changed "
                "afterwards is the usual cause; merge again."
            )
    return staged


def _notes(merge: MergeFolder) -> tuple[str, ...]:
    models, notes = references(merge.recipe), []
    local = [
        part
        for reference in models
        for model in stacked_models(reference)
        for part in model.split("+")
        if part not in hub_parts(model) and not part.startswith("zoo:")
    ]
    if local:
        notes.append(
            f"README.md, recipe.yaml and merge.json name places of this computer: "
            f"{', '.join(dict.fromkeys(local))}."
        )
    licence = merged_licence({parent.reference: parent.licence for parent in merge.record.parents})
    notes += licence.warnings
    if licence.unstated:
        names = ", ".join(licence.unstated)
        notes.append(f"No licence is stated by {names}, so the card states none either.")
    return tuple(notes)


class _Hub:
    """One repository name, with the given token or this computer's."""

    def __init__(self, name: str, token: str | None) -> None:
        from huggingface_hub import HfApi, get_token  # noqa: PLC0415  (a third of a second)

        token = get_token() if token is None else token
        if not token:
            raise no_token()
        self._name, self._token = name, token
        self._api = HfApi(token=token)
        self.private = False
        self.url = f"{self._api.endpoint}/{name}"

    def check_token(self) -> None:
        """Refuse a token that the Hub does not know, or that may not write for the owner."""
        with upload_errors(self._name, self._token):
            me = self._api.whoami()
        owner = self._name.partition("/")[0]
        roles = {str(me.get("name")): "admin"}
        for organisation in me.get("orgs") or ():
            roles[str(organisation.get("name"))] = str(organisation.get("roleInOrg") or "write")
        role = {name.lower(): role for name, role in roles.items()}.get(owner.lower())
        if role is None:
            raise NotAllowed(
                f"{self._name}: the token is of {me.get('name')}, who cannot write for {owner}. "
                f"Possible are {', '.join(roles)}."
            )
        if role not in _WRITERS or not _may_write(me, owner):
            raise NotAllowed(
                f"{self._name}: the token may not write there. Make one that may at "
                f"{self._api.endpoint}/settings/tokens, and log in with `hf auth login`."
            )

    def look(self, *, overwrite: bool, private: bool) -> tuple[str, ...] | None:
        """The files of an existing repository; None if the name is free."""
        from huggingface_hub.errors import RepositoryNotFoundError  # noqa: PLC0415

        with upload_errors(self._name, self._token):
            try:
                info = self._api.model_info(self._name)
            except RepositoryNotFoundError:
                return None
        if not overwrite:
            raise InvalidValue(
                f"{self._name}: this repository exists already. Choose another name, or add "
                "the files as its next commit (--overwrite)."
            )
        self.private = bool(info.private)
        if private and not self.private:
            raise InvalidValue(
                f"{self._name}: exists already, and is public. --private is for a new repository; "
                f"change this one at {self.url}/settings."
            )
        return tuple(file.rfilename for file in info.siblings or ())

    @contextmanager
    def repository(self, *, new: bool, private: bool, stop: Stop | None) -> Iterator[None]:
        """Make the repository; remove it again if the block fails or is stopped."""
        if new:
            with upload_errors(self._name, self._token):
                self._api.create_repo(self._name, private=private or None)
        succeeded = False
        try:
            yield
            if new:
                check(stop)
            succeeded = True
        finally:
            if new and not succeeded:
                with upload_errors(self._name, self._token, removing=True):
                    self._api.delete_repo(self._name, missing_ok=True)

    def send(self, additions: Mapping[str, Any], removed: Sequence[str]) -> str:
        """Send all files as one commit."""
        from huggingface_hub import CommitOperationDelete  # noqa: PLC0415

        operations = [*additions.values(), *(CommitOperationDelete(file) for file in removed)]
        with upload_errors(self._name, self._token), _quiet():
            commit = self._api.create_commit(
                self._name, operations, commit_message="Upload a merge by DPPA Studio"
            )
        return str(commit.oid)


def _may_write(me: Mapping[str, Any], owner: str) -> bool:
    """Return True if a token may write for an owner, as far as the Hub says it beforehand."""
    token = (me.get("auth") or {}).get("accessToken") or {}
    if token.get("role") != "fineGrained":
        return token.get("role") != "read"
    scopes = (token.get("fineGrained") or {}).get("scoped")
    return scopes is None or any(
        str((scope.get("entity") or {}).get("name")).lower() == owner.lower()
        and any("write" in permission for permission in scope.get("permissions") or ())
        for scope in scopes
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the library's progress bars if stderr is no terminal."""
    from huggingface_hub.utils import (  # noqa: PLC0415
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    hide = not os.isatty(2) and not are_progress_bars_disabled()
    if hide:
        disable_progress_bars()
    try:
        yield
    finally:
        if hide:
            enable_progress_bars()
