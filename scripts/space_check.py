"""Start the app as a Hugging Face Space would, and use it once in a browser.

Imitates a Space as far as this machine can: a separate environment with requirements.txt
and what a Space adds to it, a read-only folder, the variables a Space sets, and no
login. Needs the tests' environment for the browser; `make space-check` makes both. Uses the
CPU only; a Space's GPU is not tested.

    python scripts/space_check.py [--keep FOLDER] [--begin-with ENVIRONMENT]
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.e2e.chromium import find_chromium  # noqa: E402
from tests.e2e.page_driver import ARGUMENTS, Studio, new_context  # noqa: E402

# Root can write anywhere; without this capability the folder's modes count.
BOUND = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
# On a Space, Gradio's page requests these; both fail here without a server.
GRADIOS_OWN = ("fonts.googleapis.com", "huggingface.co/api/spaces/", "Space not found")
START_SECONDS = 120.0
QUESTION = "Tom has 12 apples and buys 5 more. How many apples does Tom have?"


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{text}\n")


def python_of(version: str) -> str:
    """The interpreter of a version where it is installed, else the one that runs this."""
    named = f"python{version}"
    version_call = subprocess.run(
        ["sh", "-c", f"{named} --version"], capture_output=True, check=False
    )
    if version_call.returncode:  # a shim may lead nowhere
        say(f"A Space runs {named}, which is not here: checked with {sys.version.split()[0]}.")
    return sys.executable if version_call.returncode else named


def environment_of(folder: Path, begin_with: Path | None) -> Path:
    """A new virtual environment with what a Space installs; its interpreter.

    Args:
        begin_with: One that holds requirements.txt and nothing else: what a Space adds is installed
            into it, which saves minutes.
    """
    head = yaml.safe_load((ROOT / "README.md").read_text("utf-8").split("---")[1])
    host = python_of(head["python_version"])
    venv = begin_with.absolute() if begin_with else folder / "venv"
    if not begin_with:
        subprocess.run([host, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    added = (f"gradio[oauth,mcp]=={head['sdk_version']}", "spaces", "uvicorn>=0.14.0")
    listed = ("-r", str(ROOT / "requirements.txt"))
    subprocess.run([*pip, "--disable-pip-version-check", *listed, *added], check=True)
    return python


def tree_of(folder: Path) -> Path:
    """The files under version control, readable and nothing more."""
    tree = folder / "app"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, names.decode().split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tree / name)
    for path in (*tree.rglob("*"), tree):
        path.chmod(0o555 if path.is_dir() else 0o444)
    return tree


def variables(home: Path, port: int) -> dict[str, str]:
    """A Space's variables; of this machine only the path to programs."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "SPACE_ID": "acme/studio",
        "SPACE_HOST": "acme-studio.hf.space",
        "SPACE_AUTHOR_NAME": "acme",
        "SYSTEM": "spaces",
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",  # there may be no network, and nothing has to be fetched
        "PYTHONUNBUFFERED": "1",
    }


@contextmanager
def served(python: Path, tree: Path, settings: Mapping[str, str], log: Path) -> Iterator[float]:
    """Run the app from a read-only folder during the block; yields its start-up time."""
    bound = BOUND if os.geteuid() == 0 else []
    if subprocess.run([*bound, "touch", tree / "new"], capture_output=True, check=False).returncode:
        say("Its folder can be read only.")
    else:
        sys.exit(f"{tree} can be written, so this would prove nothing. Run it as another user.")
    address = f"http://127.0.0.1:{settings['GRADIO_SERVER_PORT']}/healthz"
    with log.open("wb") as output:
        begun = time.monotonic()
        process = subprocess.Popen(
            [*bound, str(python), "app.py"], cwd=tree, env=settings, stdout=output, stderr=output
        )
    try:
        while not answers(address):
            if process.poll() is not None or time.monotonic() > begun + START_SECONDS:
                sys.exit(f"The app did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield time.monotonic() - begun
    finally:
        process.terminate()
        process.wait(timeout=30)


def answers(address: str) -> bool:
    """Whether a server answers."""
    try:
        with urllib.request.urlopen(address, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def used(url: str) -> str:
    """Open the page, move a slider, ask a question; return the answer. Prints times."""
    begun = time.monotonic()
    with sync_playwright() as playwright:
        program = find_chromium()
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        studio = Studio.visit(new_context(browser, 1440, 900), url)
        studio.wait_exact(80)
        opened = time.monotonic()
        studio.set_rate(60)
        studio.ask(QUESTION)
        answer = studio.wait_answer().locator(".answer-text").inner_text()
        answered = time.monotonic()
        browser.close()
    ours = [text for text in studio.complaints if not any(part in text for part in GRADIOS_OWN)]
    if ours:
        sys.exit("The browser complained:\n" + "\n".join(ours))
    say(f"The page is drawn {opened - begun:.1f} s after a browser asked for it;")
    say(f"another {answered - opened:.1f} s later a rate is set and a question answered.")
    return answer


def main() -> None:
    """Check, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keep", type=Path, help="a folder to work in, which stays")
    begin_help = "an environment that holds requirements.txt alone, to add to; a new one without"
    parser.add_argument("--begin-with", type=Path, metavar="ENVIRONMENT", help=begin_help)
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="dppa-space-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    try:
        say("Installing what a Space installs …")
        python, tree, home = (
            environment_of(folder, options.begin_with),
            tree_of(folder),
            folder / "home",
        )
        home.mkdir(exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        with served(python, tree, variables(home, port), folder / "log") as seconds:
            say(f"It answers after {seconds:.1f} s.")
            answer = used(f"http://127.0.0.1:{port}")
        say(f"Asked {QUESTION!r}, the merge says {answer!r}.")
        if "Traceback" in (text := (folder / "log").read_text()):
            sys.exit(f"The log holds a trace:\n{text}")
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
