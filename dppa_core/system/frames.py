"""Results as pandas tables, for notebooks and spreadsheets; pandas comes with the extra `app`."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from dppa_core.errors import InvalidValue
from dppa_core.extras import install_command
from dppa_core.system.atomic_folders import check_file, replace_file

ENDINGS = (".csv", ".parquet")


def frame_of(rows: Iterable[Mapping[str, Any]]) -> Any:
    """A pandas DataFrame with a line for each row.

    Raises:
        InvalidValue: pandas is not installed.
    """
    try:
        import pandas  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise InvalidValue(
            f"A data frame needs pandas, which is not installed: {install_command('app')}."
        ) from error
    return pandas.DataFrame(list(rows))


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts for a notebook's cell, without pandas."""
    lines = [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table><caption>{escape(caption)}</caption>{''.join(lines)}</table>"


def joined(frames: Iterable[tuple[str, Any]]) -> Any:
    """Data frames of several models one below the other, with the model's name first."""
    import pandas  # noqa: PLC0415  (an extra; whoever has frames has it)

    named = dict(frames)
    return pandas.concat(named, names=["model"]).reset_index(level=0).reset_index(drop=True)


def check_frame_file(path: Path | None) -> None:
    """Refuse a file that `write_frame` cannot write, before long work; None is fine.

    Raises:
        InvalidValue: another ending, or the file cannot be written.
    """
    if path is None:
        return
    if path.suffix.lower() not in ENDINGS:
        raise InvalidValue(f"{path}: a frame's name ends in {' or '.join(ENDINGS)}.")
    check_file(path)
    frame_of(())


def write_frame(frame: Any, path: Path) -> None:
    """Write a data frame as CSV or Parquet, by the name's ending.

    Raises:
        InvalidValue: it cannot be written, or Parquet without pyarrow.
    """
    if path.suffix.lower() == ".csv":
        replace_file(path, frame.to_csv(index=False))
        return
    content = io.BytesIO()
    try:
        frame.to_parquet(content, index=False)
    except ImportError as error:
        raise InvalidValue(
            f"{path}: Parquet needs pyarrow, which is not installed: pip install pyarrow, or name "
            "a .csv file."
        ) from error
    replace_file(path, content.getvalue())
