"""Models of the Hugging Face Hub: names, files, and their folders on this disk.

All access goes through huggingface_hub, which reads the cache, the endpoint, the token and offline
mode from its variables (HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dppa_core.errors import InvalidValue, MissingCheckpoint, NotAllowed, Unreachable, shown
from dppa_core.system.atomic_folders import unwritable

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REVISION = re.compile(r"[\w][\w./-]{0,199}", re.ASCII)

ANSWER_SECONDS = 10.0
"""Seconds until a Hub that does not answer counts as unreachable."""


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model of the Hub at one commit."""

    name: str
    """owner/name."""
    commit: str
    """40 hex digits."""
    sizes: Mapping[str, int]
    """File -> bytes."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """File -> "sha256:…" of its content, or "git:…", its git id."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """The front matter of its README.md."""
    gated: str = ""
    """"auto" or "manual" if users must accept terms first."""

    def __str__(self) -> str:
        return f"hub:{self.name}@{self.commit}"


def check_name(name: str, revision: str) -> None:
    """Refuse an impossible model name or revision."""
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415  (a third of a second)
    from huggingface_hub.utils import validate_repo_id  # noqa: PLC0415

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise InvalidValue(
            f"hub:{shown(name)[1:-1]}: a model of the Hub is owner/name, of letters, digits and "
            "single - _ . (at most 96 characters)."
        ) from error
    if revision and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise InvalidValue(
            f"hub:{name}: {shown(revision)} is not a revision. Allowed are a branch, a tag, or a "
            "commit of 40 hex digits."
        )


def is_commit(revision: str) -> bool:
    """Return True if a revision is a commit, which never changes."""
    return _COMMIT.fullmatch(revision) is not None


def look_up(name: str, revision: str = "") -> HubModel:
    """A model as the Hub describes it; no file is fetched.

    Raises:
        MissingCheckpoint: no such model or revision.
        NotAllowed: gated or disabled.
        Unreachable: no network, offline mode, or no answer from the Hub.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415  (a third of a second)

    check_name(name, revision)
    with hub_errors(name, revision):
        info = HfApi().model_info(
            name, revision=revision or None, files_metadata=True, timeout=ANSWER_SECONDS
        )
    files = info.siblings or ()
    return HubModel(
        name=name,
        commit=str(info.sha),
        sizes={file.rfilename: int(file.size or 0) for file in files},
        hashes={file.rfilename: _hash(file) for file in files},
        card=info.card_data.to_dict() if info.card_data else {},
        gated=info.gated if isinstance(info.gated, str) else "",
    )


def _hash(file: Any) -> str:
    if file.lfs:
        return f"sha256:{file.lfs.sha256}"
    return f"git:{file.blob_id}" if file.blob_id else ""


def resolve(name: str, revision: str = "") -> str:
    """The current commit of a revision; if the Hub is unreachable, the last one seen."""
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  (a third of a second)
    from huggingface_hub.errors import RemoteEntryNotFoundError  # noqa: PLC0415

    check_name(name, revision)
    if is_commit(revision):
        return revision
    for file in ("config.json", "adapter_config.json"):
        # Fetching a small file makes the library remember the commit for offline use.
        with hub_errors(name, revision), suppress(RemoteEntryNotFoundError):
            path = hf_hub_download(name, file, revision=revision or None)
            return Path(path).parent.name
    return look_up(name, revision).commit


def cached_folder(name: str, revision: str = "", file: str = "config.json") -> Path | None:
    """The folder of a revision on this disk; some of its files may be missing.

    Args:
        revision: A commit, or a branch or tag as last looked up.
    """
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  (a third of a second)

    check_name(name, revision)
    path = try_to_load_from_cache(name, file, revision=revision or None)
    return Path(path).parent if isinstance(path, str) else None


@contextmanager
def hub_errors(name: str, revision: str = "") -> Iterator[None]:
    """Turn errors of huggingface_hub into our own, with a message of one line."""
    from huggingface_hub import constants, errors  # noqa: PLC0415  (a third of a second)

    label = f"hub:{name}" + (f"@{revision}" if revision else "")
    try:
        yield
    except errors.GatedRepoError as error:
        raise NotAllowed(
            f"{label}: its authors want their terms accepted first. Do so at "
            f"https://huggingface.co/{name}, then log in with `hf auth login`."
        ) from error
    except errors.DisabledRepoError as error:
        raise NotAllowed(f"{label}: the Hub has disabled access to it.") from error
    except errors.RevisionNotFoundError as error:
        raise MissingCheckpoint(
            f"{label}: the model has no such branch, tag or commit. A typing error is the usual "
            "cause; without @… its main branch is taken."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise MissingCheckpoint(
            f"{label}: no folder of that name here and no such model on the Hub. A typing error, "
            "or a private model (log in with `hf auth login`), is the usual cause."
        ) from error
    except (errors.LocalEntryNotFoundError, errors.HTTPError, ConnectionError) as error:
        raise _unreachable(label, error) from error
    except OSError as error:
        if error.errno is None:  # the file's size differs from the announced one
            raise Unreachable(f"{label}: the download broke off. Start it again.") from error
        raise unwritable(Path(constants.HF_HUB_CACHE), error) from error


def _unreachable(label: str, error: BaseException) -> Unreachable:
    """The error for a missing answer, from the first cause that says more than "not found"."""
    from huggingface_hub.errors import OfflineModeIsEnabled  # noqa: PLC0415

    cause: BaseException | None = error
    status = ""
    while cause is not None:
        if isinstance(cause, OfflineModeIsEnabled):
            return Unreachable(
                f"{label}: not on this disk, and offline mode is on (HF_HUB_OFFLINE)."
            )
        response = getattr(cause, "response", None)
        if response is not None and response.status_code == 429:
            return Unreachable(
                f"{label}: the Hub takes no more requests for now (status 429). Wait a few "
                "minutes; logged-in users (`hf auth login`) may ask more often. What was "
                "fetched so far is kept."
            )
        status = status or (f" (status {response.status_code})" if response is not None else "")
        cause = cause.__cause__
    return Unreachable(
        f"{label}: the Hub does not answer{status}. No network, a proxy, or a Hub that is busy is "
        "the usual cause; what was fetched so far is kept. If a folder is meant: none of that name "
        "is here."
    )
