"""Store what slow blocks of lessons show first: python -m scripts.lesson_blocks

Run it after the embedded models or one of these blocks changed.
"""

import json
import threading

from components.learn.blocks.context import BlockContext
from components.learn.blocks.registry import BLOCKS, STORED, stored_file
from components.session.presets import first_session
from components.work.studio import Studio


def main() -> None:
    """Compute each with the embedded models alone, and write the file."""
    studio = Studio(public=False)
    studio.pool()
    context = BlockContext(studio, first_session(), lambda *_: None, threading.Event())
    results = {name: BLOCKS[name]({}, context) for name in STORED}
    del results["output-error"]["models"]  # the visitor's list
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(results[name])}" for name in STORED)
    stored_file().write_text(f"{{{text}}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
