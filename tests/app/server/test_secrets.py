"""No secret leaves the page in any answer, file or log; templates hold no code or markup."""

import io
import json
import logging
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from components.page.workbench import build_page
from components.server.logs import start_log
from components.session.presets import first_session
from components.views.export.export_values import export_value, read_facts
from components.views.export.export_work import MAKERS, ExportWork, make_file
from components.views.export.push import read_push, stream_push
from components.work.downloads.files import Exports
from components.work.downloads.limits import LOCAL
from components.work.studio import Studio
from components.work.visitor import Visitor
from tests.helpers.hub_writing import TOKEN, WritableHub, writable_hub
from tests.helpers.links import link_of

ADA = Visitor("ada")

HOST = "hf_theLoginOfThisComputer"
EVE = "hf_aLoginThatIsRefused"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WritableHub]:
    server = writable_hub(tmp_path, monkeypatch, None)
    monkeypatch.setenv("HF_TOKEN", HOST)
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))
    yield server
    server.close()


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """All libraries' logs, at the debug level."""
    start_log("json", public=True)
    text, root, own = io.StringIO(), logging.getLogger(), logging.getLogger("dppa")
    handler, levels = logging.StreamHandler(text), (root.level, own.level)
    for logger in (root, own):
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    own.handlers.clear()
    root.setLevel(levels[0])
    own.setLevel(levels[1])
    own.propagate = True


def unpacked(path: Path) -> bytes:
    """The bytes of a file, and of what is packed in it."""
    data = path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            data += b"".join(archive.read(name) for name in archive.namelist())
    return data


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_no_login_stands_in_a_log_a_link_a_report_or_a_file(
    hub: WritableHub, written: io.StringIO, zoo_env: Path, tmp_path: Path
) -> None:
    studio, session = Studio(public=True), first_session()
    (tmp_path / "made").mkdir()
    exports, said = Exports(LOCAL, tmp_path / "made"), list[Any]()
    for token in (TOKEN, EVE):
        login = gr.OAuthToken(token=token, scope="contribute-repos", expires_at=2**40)
        push = read_push(session.recipe(), f"ada/{token[3:8]}", True, ADA, login, studio)
        said += [repr(push), *stream_push(push, exports, studio)]
    assert [one["state"] for one in said if isinstance(one, dict)].count("done") == 1
    for kind in MAKERS:
        work = ExportWork(True, lambda *progress: said.append(progress), threading.Event())
        make_file(session.recipe(), kind, ADA, exports, work)
    texts = export_value(read_facts(session.recipe(), public=True), session.recipe(), public=True)
    page = json.dumps(build_page(studio).get_config_file(), default=str)
    said += [texts, link_of(session), page, written.getvalue()]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    found = json.dumps(said, default=str).encode() + b"".join(map(unpacked, files))
    assert b"chat_template" in found and "push" in written.getvalue() and len(files) > 10
    for secret in (TOKEN, HOST, EVE):
        assert secret.encode() not in found, secret


@pytest.mark.parametrize("public", [True, False])
def test_no_value_is_ever_part_of_a_template(zoo_env: Path, public: bool) -> None:
    """Gradio runs what stands in one as JavaScript, and `${value}` as markup."""
    page = build_page(Studio(public=public))
    changing = {one._id for event in page.fns.values() for one in event.outputs}
    parts = [one for one in page.blocks.values() if isinstance(one, gr.HTML)]
    assert len(parts) > 40
    for part in parts:
        template = f"{part.html_template}{part.css_template}"
        holds = "${" in template or "{{" in template
        assert not holds or part._id not in changing, part.elem_id
    texts = [one for one in page.blocks.values() if isinstance(one, (gr.Markdown, gr.Chatbot))]
    assert texts and all(one.sanitize_html for one in texts)
