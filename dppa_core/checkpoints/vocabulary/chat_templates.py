"""Reads the chat template of a model's folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dppa_core.checkpoints.folders.small_files import read_file, read_object, text_of

EMBEDDED = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
"""The chat template of the embedded models."""
FORMATS = {
    "chatml": "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "llama3": "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
}
"""Chat templates by the names of their formats, for models that have none."""
_TOKEN = re.compile(r"<\|\w+\|>")
_JINJA, _JSON, _SETTINGS = "chat_template.jinja", "chat_template.json", "tokenizer_config.json"


def read_template(folder: Path) -> str | list[Any] | None:
    """The template as transformers finds it: a text, or several with names; None if absent."""
    path = folder / _JINJA
    if path.is_file():
        return text_of(path, read_file(path))
    for name in (_JSON, _SETTINGS):
        template = (
            read_object(folder / name).get("chat_template") if (folder / name).is_file() else None
        )
        if isinstance(template, (str, list)) and template:
            return template
    return None


def tokens_of(name: str) -> tuple[str, ...]:
    """The special tokens of a format."""
    return tuple(sorted(set(_TOKEN.findall(FORMATS[name]))))


def without_template(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files of a tokenizer without its chat template."""
    kept = {name: content for name, content in files.items() if name not in (_JINJA, _JSON)}
    if _SETTINGS in kept:
        settings = json.loads(kept[_SETTINGS])
        if settings.pop("chat_template", None) is not None:
            text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
            kept[_SETTINGS] = text.encode()
    return kept
