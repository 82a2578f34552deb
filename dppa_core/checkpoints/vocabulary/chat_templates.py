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
_ALPACA = (
    "{% set names = {'user': 'Instruction', 'assistant': 'Response', 'user_context': 'Input'} %}"
    "{% set system = messages | selectattr('role', 'equalto', 'system') | list %}"
    "{{ (system | last).content | trim if system }}{{ '\\n\\n' }}"
    "{% for message in messages %}{% if message['role'] in names %}"
    "{{ '### ' + names[message['role']] + ':\\n' }}{{ message['content'] | trim }}"
    "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}"
    "{{ '### Response:\\n' }}{% endif %}"
)
_EXAONE = (
    "{% if messages and messages[0]['role'] != 'system' %}"
    "{{ '        [|system|][|endofturn|]\\n\\n' }}{% endif %}"
    "{% for message in messages %}"
    "{{ '    [|' + message['role'] + '|]' + message['content'] + '\\n        ' }}"
    "{% if message['role'] != 'user' %}{{ '[|endofturn|]' }}{% endif %}{{ '\\n\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '    [|assistant|]\\n' }}{% endif %}"
)
_MISTRAL = (
    "{% set system = messages[0]['role'] == 'system' %}{{ bos_token }}"
    "{% for message in messages[system | int:] %}"
    "{% if message['role'] != ('user', 'assistant')[loop.index0 % 2] %}"
    "{{ raise_exception('Behind a system message, user and assistant take turns.') }}{% endif %}"
    "{% if message['role'] == 'user' %}"
    "{{ ' [INST] ' }}{{ messages[0]['content'] + '\\n\\n' if system and loop.first }}"
    "{{ message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)


def _llama3(end: str) -> str:
    """Llama 3's template, with `end` behind each message."""
    return (
        "{{ bos_token }}{% for message in messages %}"
        "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}"
        "{{ message['content'] | trim + '<|eot_id|>" + end + "' }}{% endfor %}"
        "{% if add_generation_prompt %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
    )


FORMATS = {
    "alpaca": _ALPACA,
    "chatml": "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "exaone": _EXAONE,
    "llama3": _llama3(""),
    "llama3-mergekit": _llama3("\\n"),
    "mistral": _MISTRAL,
}
"""Chat templates by the names of their formats, for models that have none. They write what
mergekit's of that name write; its llama3 has line ends that Llama 3's own has not."""
MAX_TEMPLATE = 50_000
"""Characters of a template in a recipe."""
_TOKEN = re.compile(r"<\|\w+\|>|\[\|\w+\|\]")
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


def default_template(folder: Path) -> str | None:
    """The template that `read_template` finds; of several with names, the one named default."""
    template = read_template(folder)
    if isinstance(template, list):
        named = (entry for entry in template if isinstance(entry, Mapping))
        template = next((e.get("template") for e in named if e.get("name") == "default"), None)
    return template if isinstance(template, str) else None


def is_template(text: str) -> bool:
    """Return True if a text is a template, not the name of one."""
    return "{" in text


def tokens_of(template: str) -> tuple[str, ...]:
    """The special tokens that a template writes."""
    return tuple(sorted(set(_TOKEN.findall(template))))


def without_template(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files of a tokenizer without its chat template."""
    kept = {name: content for name, content in files.items() if name not in (_JINJA, _JSON)}
    if _SETTINGS in kept:
        settings = json.loads(kept[_SETTINGS])
        if settings.pop("chat_template", None) is not None:
            text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
            kept[_SETTINGS] = text.encode()
    return kept
