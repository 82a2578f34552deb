"""Take the README's picture of the page: `make picture`.

Starts the app as a person does, asks the first example, and waits for the answer.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, from wherever

from tests.e2e.chromium import HELP, find_chromium  # noqa: E402
from tests.e2e.server import Server  # noqa: E402
from tests.e2e.studio import ARGUMENTS, Studio, new_context  # noqa: E402


def main() -> None:
    """Write docs/page-light.png and docs/page-dark.png."""
    program = find_chromium()
    if program is None:
        sys.exit(HELP)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        server = Server.start(Path(folder) / "app.log")
        try:
            for theme in ("light", "dark"):
                studio = Studio.visit(new_context(browser), server.url, theme)
                studio.wait_models()
                studio.page.locator('#examples button.example[data-domain="math"]').first.click()
                script = "() => document.querySelector('#prompt textarea').value"
                studio.page.wait_for_function(script)
                studio.page.locator("#send").click()
                studio.wait_answer("merged")
                studio.page.evaluate("() => document.activeElement.blur()")
                studio.page.screenshot(path=ROOT / "docs" / f"page-{theme}.png", full_page=True)
        finally:
            server.stop()
            browser.close()


if __name__ == "__main__":
    main()
