"""Reads YAML as plain values: text, numbers, lists and mappings, bounded in every direction."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from dppa_core.errors import InvalidRecipe, shown

MAX_CHARACTERS = 100_000
_MAX_REASON_LENGTH = 300
_MAX_DEPTH, _MAX_DIGITS, _MAX_VALUES = 20, 100, 20_000
_MERGE = "tag:yaml.org,2002:merge"
_TAB = re.compile(r"^ *\t")


class PlainLoader(yaml.SafeLoader):
    """A loader of plain YAML.

    It refuses aliases and merge keys, which can expand a short text without limit, tags, which name
    types, dates, deep nesting, numbers with too many digits, and duplicate keys.
    """

    shares = False
    """True if aliases, merge keys and duplicate keys are read."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.depth = 0
        self.repeated: list[str] = []
        """Keys that appear again in their mapping; the last counts."""
        self._checked: set[Any] = set()

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) and not self.shares:
            raise yaml.YAMLError(f"an alias (*name) in line {line}; write the value out")
        if getattr(event, "tag", None) is not None:
            raise yaml.YAMLError(f"a tag ({event.tag}) in line {line}; leave it out")
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise yaml.YAMLError(f"more than {_MAX_DEPTH} levels in line {line}")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: Any) -> None:
        if node not in self._checked:
            self._checked.add(node)
            self._check_keys(node)
        super().flatten_mapping(node)

    def _check_keys(self, node: Any) -> None:
        keys = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                if self.shares:
                    continue
                raise yaml.YAMLError(f"a merge key (<<) in line {line}; write the keys out")
            name = self.construct_object(key, deep=True)
            if not isinstance(name, (str, int, float)):
                raise yaml.YAMLError(f"a key that is neither text nor number in line {line}")
            if name in keys:  # by value: 1, 0x1 and 1.0 are one key
                if not self.shares:
                    raise yaml.YAMLError(f"the key {shown(name)} appears again in line {line}")
                self.repeated.append(f"{name} in line {line}")
            keys.add(name)

    def construct_yaml_int(self, node: Any) -> int:
        if len(node.value) > _MAX_DIGITS:
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"a number of {len(node.value)} digits in line {line}")
        return int(super().construct_yaml_int(node))


class SharingLoader(PlainLoader):
    """It also reads aliases and merge keys, up to a number of values once they are written out."""

    shares = True

    def compose_document(self) -> Any:
        root = super().compose_document()
        left, values = [(root, 1)], 0
        while left:
            node, depth = left.pop()
            values += 1
            if values > _MAX_VALUES or depth > _MAX_DEPTH:
                raise yaml.YAMLError(
                    f"aliases (*name) that stand for more than {_MAX_VALUES} values or "
                    f"{_MAX_DEPTH} levels; write the values out"
                )
            if isinstance(node, yaml.SequenceNode):
                left += [(item, depth + 1) for item in node.value]
            elif isinstance(node, yaml.MappingNode):
                left += [(item, depth + 1) for pair in node.value for item in pair]
        return root


PlainLoader.add_constructor("tag:yaml.org,2002:int", PlainLoader.construct_yaml_int)
PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_mapping(text: str) -> Mapping[Any, Any]:
    """The keys and values of a recipe."""
    return _read(text, PlainLoader)[0][0]


def read_documents(text: str) -> tuple[list[Mapping[Any, Any]], list[str]]:
    """The documents of a foreign recipe, and its repeated keys; aliases and merge keys are read."""
    return _read(text, SharingLoader)


def _read(text: str, loader: type[PlainLoader]) -> tuple[list[Mapping[Any, Any]], list[str]]:
    if not isinstance(text, str):
        raise InvalidRecipe(
            f"A recipe's text is needed, got {shown(text)}. load_recipe reads a file."
        )
    if len(text) > MAX_CHARACTERS:
        raise InvalidRecipe(
            f"The recipe has {len(text)} characters; it may have {MAX_CHARACTERS}. "
            "Another kind of file is the usual cause."
        )
    try:
        reading = loader(text)
        documents = list(_documents(reading))
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 0x without a digit
        line = " ".join(str(error).replace('in "<unicode string>", ', "in ").split())
        cause = _usual_cause(text, error)
        raise InvalidRecipe(
            f"The recipe is not plain YAML: {line[:_MAX_REASON_LENGTH]}{cause}"
        ) from error
    if not text.strip():
        raise InvalidRecipe("The recipe is empty. A file that was never saved is the usual cause.")
    if not documents or not all(isinstance(document, Mapping) for document in documents):
        raise InvalidRecipe(f"The recipe is not a mapping of keys to values.{_MAPPING_CAUSE}")
    return documents, reading.repeated


def _documents(reading: PlainLoader) -> Iterator[Any]:
    if not reading.shares:
        yield reading.get_single_data()
        return
    while reading.check_data():  # type: ignore[no-untyped-call]
        data = reading.get_data()
        if data is not None:  # as behind a last line ---
            yield data


_MAPPING_CAUSE = " Another kind of file, or a text without its line ends, is the usual cause."


def _usual_cause(text: str, error: Exception) -> str:
    """A sentence on what usually makes a text no YAML, by the line where reading stopped."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return ""
    lines = text.splitlines()
    near = lines[max(mark.line - 1, 0) : mark.line + 1]
    if any(map(_TAB.match, near)):
        return ". A tab stands before the text; YAML is indented with spaces."
    if any("`" in line for line in near):
        return ". A back quote (`) of Markdown stands there; remove it."
    if "escape" in str(error):
        return ". A path with \\ stands in double quotes; take single ones, or /."
    return (
        ". Lost indentation is the usual cause: what belongs to a key stands further to the right "
        "than the key, and the items of one list stand below each other."
    )
