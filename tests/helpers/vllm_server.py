"""A stand-in for a vLLM server: the calls that a judge makes, answered by transformers and PEFT.

It follows vLLM's documentation and sources (0.32) in what it takes and says; it is none: no GPU, no
cache, one text at a time.
"""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
import transformers

Answer = tuple[int, Any]
"""Status, and what is sent as JSON."""


def error(status: int, message: str) -> Answer:
    return status, {"error": {"message": message, "type": "Error", "param": None, "code": status}}


NO_ROUTE: Answer = (404, {"detail": "Not Found"})


class VllmServer(ThreadingHTTPServer):
    """Serves a folder's model; the rest are vLLM's options."""

    request_queue_size, daemon_threads = 128, False

    def __init__(self, base: Path, *, max_lora_rank: int = 16, runtime_updating: bool = True):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name, self.max_lora_rank = str(base), max_lora_rank
        self.runtime_updating = runtime_updating
        load = transformers.AutoModelForCausalLM.from_pretrained
        self.models: dict[str, Any] = {self.name: load(base, dtype=torch.float32).eval()}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.faults: dict[str, Callable[[], Answer]] = {}
        """Route -> what answers in its place."""
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def adapters(self) -> list[str]:
        return [name for name in self.models if name != self.name]

    def answer(self, path: str, body: dict[str, Any]) -> Answer:
        route = path.removeprefix("/v1/")
        self.calls.append((route, body))
        if fault := self.faults.get(route):
            return fault()
        lora = route in ("load_lora_adapter", "unload_lora_adapter")
        known = {"models", "completions", "load_lora_adapter", "unload_lora_adapter"}
        if route not in known or (lora and not self.runtime_updating):
            return NO_ROUTE
        with self.lock, torch.inference_mode():
            return getattr(self, f"_{route}")(body)  # type: ignore[no-any-return]

    def _models(self, body: dict[str, Any]) -> Answer:
        base = {"id": self.name, "object": "model", "root": self.name, "parent": None}
        cards = [{"id": n, "object": "model", "parent": self.name} for n in self.adapters]
        return 200, {"object": "list", "data": [base, *cards]}

    def _load_lora_adapter(self, body: dict[str, Any]) -> Answer:
        name, folder = body["lora_name"], Path(body["lora_path"])
        if name in self.models:
            return error(400, f"The lora adapter '{name}' has already been loaded.")
        if not folder.is_absolute() or not (folder / "adapter_config.json").is_file():
            return error(404, f"Loading lora {name} failed: No adapter found for {folder}")
        rank = json.loads((folder / "adapter_config.json").read_text())["r"]
        if rank > self.max_lora_rank:
            text = f"LoRA rank {rank} is greater than max_lora_rank {self.max_lora_rank}."
            return error(500, text)
        base = deepcopy(self.models[self.name])
        load = importlib.import_module("peft").PeftModel.from_pretrained
        self.models[name] = load(base, folder).merge_and_unload().eval()  # quicker
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def _unload_lora_adapter(self, body: dict[str, Any]) -> Answer:
        if body["lora_name"] not in self.adapters:
            return error(404, f"The lora adapter '{body['lora_name']}' cannot be found.")
        del self.models[body["lora_name"]]
        return 200, f"Success: LoRA adapter '{body['lora_name']}' removed successfully."

    def _completions(self, body: dict[str, Any]) -> Answer:
        model, prompt = self.models.get(body["model"]), body["prompt"]
        if model is None:
            return error(404, f"The model `{body['model']}` does not exist.")
        if body.get("temperature", 1.0) != 0 or not all(type(token) is int for token in prompt):
            return error(400, "This stand-in takes token ids, at temperature 0.")
        ends = set(body.get("stop_token_ids", ()))
        if not body.get("ignore_eos"):
            ends.add(model.config.eos_token_id)
        ids = torch.tensor([prompt])
        choice: dict[str, Any] = {"index": 0, "text": ""}
        if body.get("prompt_logprobs") is not None:
            logs = model(ids, use_cache=False).logits[0].log_softmax(-1)
            pairs = enumerate(prompt[1:])
            choice["prompt_logprobs"] = [
                None,
                *({str(t): {"logprob": float(logs[at, t]), "rank": 1}} for at, t in pairs),
            ]
            if body["max_tokens"] == 1:  # nobody reads it
                return 200, {"object": "text_completion", "choices": [choice]}
        written = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=body.get("max_tokens", 16),
            eos_token_id=sorted(ends),
            pad_token_id=0,
            do_sample=False,
        )
        tokens = written[0, len(prompt) :].tolist()
        choice["finish_reason"] = "stop" if tokens[-1] in ends else "length"
        choice["token_ids"] = tokens if body.get("return_token_ids") else None
        return 200, {"object": "text_completion", "model": body["model"], "choices": [choice]}


class _Handler(BaseHTTPRequestHandler):
    server: VllmServer

    def do_GET(self) -> None:
        self._send(self.server.answer(self.path, {}))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._send(self.server.answer(self.path, json.loads(body)))

    def _send(self, answer: Answer) -> None:
        status, value = answer
        body = (
            value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
        )
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        with suppress(ConnectionError):  # who asked has gone
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def vllm_server(base: Path, **options: Any) -> Iterator[VllmServer]:
    """A stand-in that answers while the block runs."""
    server = VllmServer(base, **options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
