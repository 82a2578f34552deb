"""Settings of the page from environment variables, read once at the start and checked.
docs/reference/settings.md lists them with all others."""

from __future__ import annotations

import os
import re
import tempfile
from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from dppa_core.checkpoints.sources.fetchable import FETCHABLE
from dppa_core.errors import InvalidValue, as_required, shown

PREFIX = "DPPA_"
LOOPBACK = "127.0.0.1,::1"
PRIVATE_NETWORKS = f"{LOOPBACK},10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
SPACE_FRAMES = ("https://huggingface.co", "https://*.hf.space")
_HOST = r"[\w.\-\[\]:]+"
_FORMS = {
    "hosts": (_HOST, "studio.example.org or studio.example.org:8443"),
    "frames": (rf"https?://(\*\.)?{_HOST}", "https://example.org or https://*.example.org"),
    "living": (rf"https?://{_HOST}(/[\w.~%/-]*)?", "https://example.org/living"),
}
"""Field -> form of one entry, and examples of it."""


def on_space() -> bool:
    """Return True on a Hugging Face Space."""
    return bool(os.environ.get("SPACE_ID"))


class Settings(BaseSettings):
    """Settings of the page; each field is an environment variable with the prefix DPPA_."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    public: bool = Field(
        default_factory=on_space,
        description="Whether strangers use the page: embedded models alone, tight limits. "
        "Unset, on a Space only.",
    )
    warm: bool = Field(
        default=True, description="Whether to load the first preset's models after the start."
    )
    log: Literal["text", "json"] = Field(
        default="text",
        description="How the log is written: lines to read, or one JSON object each.",
    )
    fetch: str = Field(
        default="",
        description="Models to fetch before the page opens, with `,` between them: smollm2, "
        "93 MB. A public page then offers them.",
    )
    experiments: Path | None = Field(
        default=None,
        description="A file of `dppa reproduce` to show instead of the one that came along.",
    )
    tasks: str = Field(
        default="",
        description="Tasks of lm-evaluation-harness that a public page offers, with `,` between "
        "them; they run no code. Unset, none. Your own copy asks every task.",
    )
    task_files: Path | None = Field(
        default=None,
        description="A folder of task files of lm-evaluation-harness, in the place of its own. On "
        "your own copy their code runs.",
    )
    metrics: bool = Field(default=False, description="Whether /metrics answers, for Prometheus.")
    hosts: str = Field(
        default="",
        description="Further hosts (name or name:port) under which the page is used, as behind a "
        "proxy, with `,` between them. Pages of these hosts may send requests to it.",
    )
    frames: str = Field(
        default="",
        description="Sites (https://name, https://*.name) that may show the page in a frame, with "
        "`,` between them. Without, none; on a Space, Hugging Face.",
    )
    living: str = Field(
        default="",
        description="Address of a public folder of living figures (https://name/path), which Share "
        "offers to embed. Unset, this server's own copy.",
    )
    proxies: str = Field(
        default_factory=lambda: PRIVATE_NETWORKS if on_space() else LOOPBACK,
        description="Addresses and networks, with `,` between them, whose X-Forwarded-For says who "
        "asks. Unset, this computer; on a Space, private networks.",
    )
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        validation_alias="GRADIO_SERVER_PORT",
        description="Where the page listens, and nowhere else; unset, the first free from 7860.",
    )

    @field_validator("proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for item in _listed(value):
            ip_network(item)  # its error names the value
        return value

    @field_validator("fetch")
    @classmethod
    def _check_fetchable(cls, value: str) -> str:
        for item in _listed(value):
            if item not in FETCHABLE:
                raise ValueError(f"{shown(item)} cannot be fetched; known: {', '.join(FETCHABLE)}")
        return value

    @field_validator("hosts", "frames", "living")
    @classmethod
    def _check_list(cls, value: str, info: ValidationInfo) -> str:
        form, examples = _FORMS[str(info.field_name)]
        for item in _listed(value):
            if not re.fullmatch(form, item, re.ASCII):
                raise ValueError(f"{shown(item)} is not of the form {examples}")
        return value

    @property
    def known_hosts(self) -> tuple[str, ...]:
        """Hosts under which the page is used, besides that of a request: name or name:port."""
        space_host = os.environ.get("SPACE_HOST", "") if on_space() else ""
        return _listed(f"{self.hosts},{space_host}")

    @property
    def trusted_proxies(self) -> tuple[str, ...]:
        """Addresses and networks of the proxies before this server."""
        return _listed(self.proxies)

    @property
    def fetched(self) -> tuple[str, ...]:
        """Names of the models to fetch before the page opens."""
        return _listed(self.fetch)

    @property
    def offered_tasks(self) -> tuple[str, ...]:
        """Names of the tasks that a public page offers."""
        return _listed(self.tasks)

    @property
    def frame_sites(self) -> tuple[str, ...]:
        """Sites that may show the page in a frame, as a Content-Security-Policy names them."""
        return (*(SPACE_FRAMES if on_space() else ()), *_listed(self.frames))


def _listed(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, text.split(","))))


def read_settings() -> Settings:
    """The settings of this process; raises InvalidValue for a value that is not allowed."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        field = "_".join(map(str, first["loc"]))
        name = field if field.isupper() else PREFIX + field.upper()
        raise InvalidValue(f"{name}={first['input']}: {as_required(first)}.") from None


def check_temporary_folder() -> None:
    """Raise InvalidValue if no folder for temporary files can be written to, which Gradio needs."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise InvalidValue(
            "There is no folder for temporary files that can be written to. A full or a read-only "
            "disk is the usual cause: free some space, or name a folder in TMPDIR."
        ) from error
