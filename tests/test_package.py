"""The wheel contains the command, the types and the embedded models."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from this tree without network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_the_wheel_holds_the_embedded_models(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    for model in ("base", "math", "finance", "law"):
        for file in ("config.json", "model.safetensors", "tokenizer.json"):
            assert f"dppa_core/_zoo/{model}/{file}" in names


def test_the_wheel_holds_the_presets(wheel: zipfile.ZipFile) -> None:
    assert b"hub:" in wheel.read("dppa_core/_presets.yaml")


def test_the_wheel_holds_the_library_and_the_page(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"dppa_core", "dppa_studio"}
    assert "dppa_studio/_shipped/assets/css/style.css" in wheel.namelist()
    assert {"dppa_core/py.typed", "dppa_core/figures/report.css"} < set(wheel.namelist())
    assert "dppa_core/figures/report.js" in wheel.namelist()


def test_the_wheel_holds_what_was_measured_as_one_file_and_no_laboratory(
    wheel: zipfile.ZipFile,
) -> None:
    names = [name for name in wheel.namelist() if name.startswith("dppa_studio/_shipped/")]
    assert "dppa_studio/_shipped/assets/data/measured.json" in names
    assert {name.split("/")[2] for name in names} == {"assets"}
    assert not [name for name in wheel.namelist() if "dppa_lab" in name or "/docs/" in name]


def test_the_wheel_brings_the_command(wheel: zipfile.ZipFile) -> None:
    entry = next(n for n in wheel.namelist() if n.endswith("entry_points.txt"))
    text = wheel.read(entry).decode()
    assert "dppa = dppa_core.cli.main:main" in text
    assert "app = dppa_studio.page.command:command" in text


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what pip would have installed from the wheel, without its index."""
    folder = tmp_path_factory.mktemp("installed")
    wheel.extractall(folder)
    return folder


WITHOUT_LOGGER = """
import importlib.metadata as metadata, sys
real = metadata.distribution
def distribution(name):
    if name == "python-json-logger":
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.distribution = distribution
"""
RUN = "import sys; from dppa_core.cli.main import main; sys.argv[1:] = ['app', '--help']; main()"


def in_wheel(installed: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code against the wheel's content, away from the repository."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=installed.parent,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({}, "pip install 'dppa-studio[app]'."),
        ({"url": "file:///home/a%20b/dppa"}, "pip install '/home/a b/dppa[app]'."),
        (
            {"url": "https://host/dppa", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}},
            "pip install 'dppa-studio[app] @ git+https://host/dppa@c0ffee'.",
        ),
    ],
)
def test_without_the_extra_one_line_names_what_is_missing_and_where_it_comes_from(
    installed: Path, origin: dict[str, object], command: str
) -> None:
    record = next(installed.glob("*.dist-info")) / "direct_url.json"
    record.write_text(json.dumps(origin))
    run = in_wheel(installed, WITHOUT_LOGGER + RUN)
    record.unlink()
    assert run.returncode == 1 and run.stderr.count("\n") == 1 and not run.stdout
    assert "python-json-logger" in run.stderr and run.stderr.endswith(command + "\n")


def test_with_the_extra_the_installed_command_starts_the_page(installed: Path) -> None:
    run = in_wheel(installed, RUN)
    assert run.returncode == 0, run.stderr
    assert "Serve the page until Ctrl-C" in run.stdout


def test_the_installed_page_finds_its_files(installed: Path) -> None:
    code = "import sys, dppa_studio.page.workbench as page; from dppa_studio.session.shipped import"
    code += " shipped; assert shipped('assets/css/style.css').exists();"
    run = in_wheel(installed, code + " assert 'components' not in sys.modules")
    assert run.returncode == 0, run.stderr


def test_the_library_alone_says_how_to_get_the_page() -> None:
    command = [sys.executable, "-m", "dppa_core", "app"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1 and "make app" in run.stderr and "[app]" in run.stderr


@pytest.mark.cases(1)
@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["merge", "--help"]])
def test_the_command_explains_itself(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "dppa_core", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_wrong_usage_ends_with_two() -> None:
    command = [sys.executable, "-m", "dppa_core", "no-such-command"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 2


def test_no_file_is_larger_than_the_hub_takes() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    paths = [ROOT / n for n in listed.stdout.decode().split("\0") if n]
    sizes = {p: p.stat().st_size for p in paths if p.exists()}
    assert not {str(p): s for p, s in sizes.items() if s > 10_000_000}
    assert sum(s for p, s in sizes.items() if "zoo" in p.parts) < 76_000_000


def test_the_commands_keep_byte_code_whatever_the_shell_says() -> None:
    shown = 'include Makefile\nshown:\n\t@echo "[$$PYTHONDONTWRITEBYTECODE]"\n'
    done = subprocess.run(
        ["make", "--silent", "--file=-", "shown"],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        input=shown,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("document", ["SECURITY.md", "docs/reliability.md", "docs/attacks.md"])
def test_every_test_that_a_document_names_is_there(document: str) -> None:
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", (ROOT / document).read_text("utf-8"))
    assert len(named) > 20
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text("utf-8"), f"{path}::{name}"


def test_the_image_holds_what_the_page_needs_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    copied = {line.split()[1] for line in lines if line.startswith("COPY")}
    kept = {
        line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").split() if line[0] == "!"
    }
    code = {"requirements.txt", "app.py", "dppa_core", "components", "assets"}
    assert copied == kept == code
    assert all((ROOT / name).exists() for name in copied)
    assert lines.index("USER studio") < lines.index('CMD ["python", "app.py"]')
    told = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    text = "\n".join(lines).replace("\\\n", " ")
    for name in re.findall(r"(\w+)=", re.search(r"^ENV (.*)$", text, re.M)[1]):
        assert f"`{name}`" in told, name
