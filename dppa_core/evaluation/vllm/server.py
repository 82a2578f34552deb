"""A vLLM server by HTTP: the calls that a judge needs, and its errors in one line each.

Of vLLM's documentation (docs.vllm.ai, read up to version 0.32): "OpenAI-Compatible Server" for
`/v1/models` and `/v1/completions` (its `return_token_ids` came with 0.10.2, PR 22587), and "LoRA
Adapters" for `/v1/load_lora_adapter` and `/v1/unload_lora_adapter`.

Weights that are no adapter cannot be sent so: `/update_weights` ("Weight Transfer") takes names
and shapes by HTTP, but the numbers, sparse ones too (PRs 40096, 50723 and 53751), from another GPU
by NCCL or CUDA IPC.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError

from dppa_core.errors import DppaError, InvalidValue, NotAllowed, Unreachable, printable, shown
from dppa_core.merging.lora.report import VLLM_RANKS

SECONDS = 600.0
"""Longest silence of the server."""
_LONGEST_TEXT = 300
_GREEDY = {
    "temperature": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
"""Penalties are named because a model's generation_config.json changes vLLM's defaults."""

Value = TypeVar("Value")


class _Refusal(Unreachable):
    """The server answers a call with an error."""

    def __init__(self, place: str, status: int, body: bytes) -> None:
        text = body.decode(errors="replace")
        try:
            text = str(json.loads(text)["error"]["message"])
        except (ValueError, LookupError, TypeError):
            pass
        self.text = printable(" ".join(text.split()))[:_LONGEST_TEXT]
        self.no_route = status == 404 and self.text == '{"detail":"Not Found"}'
        super().__init__(f"{place} answers with status {status}: {self.text}")


class VllmServer:
    """A running server.

    Args:
        address: As http://127.0.0.1:8000.
        serve: What starts it for a base; for messages, with the options of adapters.
        rank: Of the adapters, as far as it is known.

    Raises:
        InvalidValue: not an address.
    """

    def __init__(self, address: str, serve: str, rank: int) -> None:
        self.address = address.rstrip("/").removesuffix("/v1")
        self._serve, self._rank = serve, rank
        if not re.fullmatch(r"https?://\S+", address):
            raise InvalidValue(
                "--judge takes the address of a vLLM server, as http://HOST:8000, got "
                f"{shown(address)}."
            )

    def bases(self) -> list[tuple[str, str]]:
        """Name and place of each model that is no adapter.

        Raises:
            Unreachable: no answer, none in time, or not one of vLLM.
        """
        return self._call("/v1/models", None, _bases)

    def served_name(self, names: Sequence[str], folder: Path | None) -> str:
        """The name by which the server calls a base; empty if it has another.

        Args:
            names: What the server may have been started with.
            folder: Where the base lies on this machine; None if it does not.

        Raises:
            Unreachable: see `bases`.
        """
        for name, root in self.bases():
            if {name, root} & set(names) or Path(root).resolve() == folder:
                return name
        return ""

    def other_base(self, base: str) -> InvalidValue:
        """The error of a server that has another base. Raises Unreachable: see `bases`."""
        serves = " and ".join(shown(name) for name, _ in self.bases()) or "no model"
        return InvalidValue(f"{self.address} serves {serves}, not the base {base}. {self._start()}")

    def load(self, name: str, folder: Path, rank: int) -> None:
        """Load an adapter.

        vLLM's cache of prefixes goes by the name (issue 30931): no two adapters may share one.

        Raises:
            NotAllowed: the server takes no adapters while it runs.
            InvalidValue: a rank above the server's, or a folder that it does not see.
            Unreachable: see `bases`.
        """
        self._rank = rank
        try:
            self._post("load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})
        except _Refusal as refusal:
            problem: DppaError = refusal
            if refusal.no_route:
                problem = NotAllowed(
                    f"{self.address} takes no adapters while it runs. {self._start()}"
                )
            elif "max_lora_rank" in refusal.text:
                problem = InvalidValue(
                    f"{self.address}: {refusal.text} Give a smaller --judge-rank, or start it "
                    f"again. {self._start()}"
                )
            elif "No adapter found" in refusal.text:
                problem = InvalidValue(
                    f"{self.address} does not see {folder}. It must run on this machine, or share "
                    "a folder under the same path: name it with --judge-folder."
                )
            raise problem from refusal

    def unload(self, name: str) -> None:
        """Unload an adapter. Raises Unreachable: see `bases`."""
        self._post("unload_lora_adapter", {"lora_name": name})

    def complete(
        self, name: str, prompt: Sequence[int], read: Callable[[Any], Value], **settings: object
    ) -> Value:
        """What is read of the greedy completion of a prompt.

        Args:
            read: Takes the completion as vLLM describes it.
            settings: As vLLM names them.

        Raises:
            Unreachable: see `bases`.
        """
        request = {"model": name, "prompt": list(prompt), **_GREEDY, **settings}
        return self._call(
            "/v1/completions", request, lambda body: read(json.loads(body)["choices"][0])
        )

    def _start(self) -> str:
        served = next((rank for rank in VLLM_RANKS if rank >= self._rank), VLLM_RANKS[-1])
        return (
            f"Start vLLM with: VLLM_ALLOW_RUNTIME_LORA_UPDATING=True {self._serve} --enable-lora "
            f"--max-lora-rank {served}"
        )

    def _post(self, route: str, value: dict[str, str]) -> None:
        self._call(f"/v1/{route}", value, lambda body: None)

    def _call(self, path: str, value: object, read: Callable[[bytes], Value]) -> Value:
        place = f"{self.address}{path}"
        data = None if value is None else json.dumps(value).encode()
        with self._answering(place):
            request = urllib.request.Request(place, data, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                body = answer.read()
        try:
            return read(body)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise Unreachable(
                f"{place} does not answer as vLLM does from version 0.10.2: "
                f"{shown(body.decode(errors='replace'))}."
            ) from error

    @contextmanager
    def _answering(self, place: str) -> Iterator[None]:
        """Turn errors of the network into one foreseen error."""
        try:
            yield
        except HTTPError as error:
            raise _Refusal(place, error.code, error.read()) from error
        except (OSError, HTTPException, ValueError) as error:  # the last: no address
            cause = getattr(error, "reason", error)
            if isinstance(cause, TimeoutError):
                raise Unreachable(
                    f"{place} did not answer for {SECONDS:g} seconds. Too much other work of the "
                    "server is the usual cause."
                ) from error
            raise Unreachable(
                f"No vLLM server answers at {self.address} ({cause or type(error).__name__}). "
                f"{self._start()}"
            ) from error


def _bases(body: bytes) -> list[tuple[str, str]]:
    """Name and place of each model that is no adapter."""
    cards = json.loads(body)["data"]
    return [
        (str(card["id"]), str(card.get("root") or card["id"]))
        for card in cards
        if not card.get("parent")
    ]
