"""Untrusted chat templates: rendered as transformers does, with limits, without logins."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from dppa_core.checkpoints.vocabulary.chat_templates import EMBEDDED
from dppa_core.checkpoints.vocabulary.render import TemplateProcess, rendered_chat
from dppa_core.errors import DamagedCheckpoint
from tests.helpers.tiny_models import CHAT_TEMPLATE

TURNS = [{"role": "user", "content": "2 + 3?"}]
BEGUN = [*TURNS, {"role": "assistant", "content": "The answer"}]


@pytest.fixture(scope="module")
def process() -> Iterator[TemplateProcess]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", "hf_a_login")
        template_process = TemplateProcess(seconds=1)
        template_process.ask({"what": "", "cause": "", "template": {}})
    yield template_process
    template_process.close()


def speaking(template: str) -> Any:
    """As much of a tokenizer as a template needs."""
    return SimpleNamespace(
        get_chat_template=lambda: template, special_tokens_map={"bos_token": "^"}
    )


@pytest.mark.parametrize(("turns", "finish"), [(TURNS, False), (BEGUN, True)])
def test_a_template_writes_what_transformers_makes_of_it(
    process: TemplateProcess, zoo_env: Path, turns: list[dict[str, str]], finish: bool
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(zoo_env / "math")
    flags = {"add_generation_prompt": not finish, "continue_final_message": finish}
    for template in (CHAT_TEMPLATE, f"{EMBEDDED}{{# another #}}"):
        tokenizer.chat_template = template
        expected = tokenizer.apply_chat_template(turns, tokenize=False, **flags)
        assert rendered_chat(tokenizer, turns, "x", finish=finish, process=process) == expected


def test_the_embedded_template_needs_no_process(zoo_env: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(zoo_env / "math")
    tokenizer.chat_template = EMBEDDED
    never = TemplateProcess()
    text = rendered_chat(tokenizer, TURNS, "x", process=never)
    assert text.endswith("2 + 3?<|end|><|assistant|>") and never._running is None


@pytest.mark.cases(1)
@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'x' * 10**11 }}",
        "{% set n = namespace(x='x') %}{% for i in range(40) %}{% set n.x = n.x * 2 %}{% endfor %}",
    ],
    ids=["time", "memory at once", "memory by and by"],
)
def test_a_template_without_end_is_ended_and_the_next_one_is_not(
    process: TemplateProcess, template: str
) -> None:
    with pytest.raises(DamagedCheckpoint, match=r"x fails: it takes more than \d seconds or"):
        rendered_chat(speaking(template), TURNS, "x", process=process)
    assert rendered_chat(speaking("{{ bos_token }}"), TURNS, "x", process=process) == "^"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages.__class__.__base__.__subclasses__() }}", "SecurityError"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{{ 'x' * 1000001 }}", "makes 1000001 characters of a conversation of 6; at most"),
        ("{% for %}", "TemplateSyntaxError"),
    ],
)
def test_a_template_that_is_refused_says_why(
    process: TemplateProcess, template: str, message: str
) -> None:
    with pytest.raises(DamagedCheckpoint, match=message):
        rendered_chat(speaking(template), TURNS, "x", process=process)


def test_the_process_knows_no_login_and_comes_back_when_it_was_killed(
    process: TemplateProcess,
) -> None:
    assert rendered_chat(speaking("a"), TURNS, "x", process=process) == "a"
    running = process._running
    assert running is not None
    assert b"hf_a_login" not in Path(f"/proc/{running.pid}/environ").read_bytes()
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert rendered_chat(speaking("b"), TURNS, "x", process=process) == "b"


def test_an_error_of_a_template_holds_no_control_character(process: TemplateProcess) -> None:
    template = "{{ raise_exception('a\\x1b]0;b\\x07 \\x9b2J\u202ec') }}"
    with pytest.raises(DamagedCheckpoint) as error:
        rendered_chat(speaking(template), TURNS, "its template", process=process)
    assert r"a\x1b]0;b\x07 \x9b2J\u202ec" in str(error.value) and str(error.value).isprintable()
