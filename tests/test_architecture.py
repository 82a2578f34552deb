"""Rules of the architecture: which package may import which, and what no file may do."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("dppa_core", "components", "app", "benchmarks")
PACKAGES = ("dppa_core", "components")
LAB = "lab/dppa_lab"
"""The laboratory's package: lab/tests/test_lab_architecture.py asks the same of it."""

PURE = ("dppa_core.pruning", "dppa_core.methods")
"""Arithmetic on plain numbers: no file, clock, network or torch."""
IMPURE = {"os", "io", "pathlib", "time", "datetime", "random", "socket", "urllib", "tempfile"}
IMPURE |= {"shutil", "subprocess", "threading", "logging", "requests", "safetensors", "torch"}
HEAVY = {"torch", "transformers", "safetensors", "tokenizers"}

MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 40
"""Of a function beside its docstring."""
MOST_MODULES = 15
ONE_A_FILE = ("dppa_core.methods", "dppa_core.cli.commands")
"""Packages of one method, or one command, a file: they may have more modules."""
ELSEWHERE = "."
"""In a list of parts: all modules that the list does not name."""

Imports = dict[str, set[str]]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def sources(*roots: str) -> tuple[Path, ...]:
    """Every Python file below `roots` (folders, or modules without `.py`)."""
    found: list[Path] = []
    for root in roots:
        single = ROOT / f"{root}.py"
        found += [single] if single.exists() else sorted((ROOT / root).rglob("*.py"))
    return tuple(p for p in found if "__pycache__" not in p.parts)


@cache
def module_name(path: Path) -> str:
    home = ROOT / "lab" if path.is_relative_to(ROOT / LAB) else ROOT
    parts = path.relative_to(home).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def packages() -> dict[str, Path]:
    """Every package of ours -> its __init__ file."""
    return {module_name(p): p for p in sources(*PACKAGES, LAB) if p.name == "__init__.py"}


def imports_of(node: ast.AST, path: Path) -> list[str]:
    """Full dotted names of what one statement of `path` imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    module = module_name(path).split(".")
    package = module if path.name == "__init__.py" else module[:-1]
    above = package[: len(package) - node.level + 1] if node.level else []
    stem = ".".join([*above, *([node.module] if node.module else [])])
    return [f"{stem}.{alias.name}" for alias in node.names]


@cache
def imported(path: Path) -> tuple[str, ...]:
    """Full dotted names of what `path` imports, inside functions too."""
    return tuple(name for node in ast.walk(tree(path)) for name in imports_of(node, path))


def top_level(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@cache
def known_modules() -> dict[str, Path]:
    return {module_name(p): p for p in sources(*OURS, LAB)}


@cache
def resolve(name: str) -> str:
    """`dppa_core.pruning.plan.plan_pruning` -> the module an imported name lives in."""
    while name and name not in known_modules():
        name = name.rpartition(".")[0]
    return name


def ours(path: Path) -> set[str]:
    return {m for m in map(resolve, imported(path)) if m} - {module_name(path)}


def below(package: str, module: str) -> bool:
    return module.startswith(package + ".")


# --- the order of packages ---


def parts(package: str) -> list[str]:
    """The parts of a package in order, as its docstring lists them: one a line, indented."""
    text = ast.get_docstring(tree(packages()[package])) or ""
    return re.findall(r"^    (\.|\w+)(?: |$)", text, re.MULTILINE)


def part_of(package: str, module: str, order: list[str]) -> str:
    """The part of its package that a module is in."""
    first = module.removeprefix(package + ".").split(".")[0]
    return first if first in order or f"{package}.{first}" in packages() else ELSEWHERE


def houses(*roots: str) -> list[str]:
    """Packages below the roots that hold packages."""
    holding = {name.rpartition(".")[0] for name in packages()} & packages().keys()
    return sorted(name for name in holding if name.split(".")[0] in roots)


@pytest.mark.parametrize("package", houses(*PACKAGES))
def test_a_package_lists_its_parts_in_order(package: str) -> None:
    order = parts(package)
    inner = {n.rpartition(".")[2] for n in packages() if n.rpartition(".")[0] == package}
    modules = {p.stem for p in packages()[package].parent.glob("*.py")} - {"__init__"}
    assert inner <= set(order), "its docstring lists them"
    assert set(order) <= inner | modules | {ELSEWHERE} and len(set(order)) == len(order)


@pytest.mark.parametrize("package", houses(*PACKAGES))
def test_every_import_points_to_an_earlier_part(package: str) -> None:
    assert not late_imports(package)


def late_imports(package: str) -> list[str]:
    """Imports of a part of a package that stands after the importing one."""
    order = parts(package)
    late = []
    for path in sources(*PACKAGES, LAB):
        module = module_name(path)
        if not below(package, module):
            continue
        mine = part_of(package, module, order)
        for other in ours(path):
            theirs = part_of(package, other, order) if below(package, other) else mine
            if ELSEWHERE not in order and ELSEWHERE in (mine, theirs):
                continue  # errors, progress: known to all
            if mine != theirs and order.index(theirs) > order.index(mine):
                late.append(f"{module} -> {other}")
    return late


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module_name(p): ours(p) for p in sources(*OURS)}
    for module, known in graph.items():  # a package's __init__ re-exports what lies below it
        known -= {m for m in known if module.startswith(m + ".")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_views_import_no_other_view() -> None:
    views = [n for n in packages() if n.rpartition(".")[0] == "components.views"]
    crossing = [
        f"{module_name(path)} -> {other}"
        for path in sources("components")
        for view in views
        if below(view, module_name(path))
        for other in ours(path)
        if below("components.views", other) and not below(view, other)
    ]
    assert len(views) >= 5 and not crossing


# --- what a package may use ---


def users(package: str, forbidden: set[str]) -> list[str]:
    """Modules of a package with forbidden imports, and these imports."""
    return [
        f"{module_name(path)}: {sorted(top_level(path) & forbidden)}"
        for path in sources(*PACKAGES)
        if module_name(path) == package or below(package, module_name(path))
        if top_level(path) & forbidden
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_product_imports_no_laboratory(package: str) -> None:
    assert not users(package, {"dppa_lab", "lab"})


def test_no_test_of_the_product_imports_the_laboratory() -> None:
    assert not [str(p) for p in sources("tests") if top_level(p) & {"dppa_lab", "lab"}]


def test_the_core_knows_no_interface() -> None:
    assert not users("dppa_core", {"gradio", "components", "app", "benchmarks"})
    drawing = {name.partition(":")[0] for name in users("dppa_core", {"plotly"})}
    assert all(below("dppa_core.figures", name) for name in drawing), "optional: for notebooks"
    of_tables = users("dppa_core", {"pandas"})  # optional: for notebooks
    assert of_tables == ["dppa_core.system.frames: ['pandas']"]


@pytest.mark.parametrize("package", PURE)
def test_pure_arithmetic_touches_no_file_clock_or_network(package: str) -> None:
    assert not users(package, IMPURE)


def test_the_page_never_touches_tensors() -> None:
    assert not users("components", HEAVY | {"app", "benchmarks"})


def test_the_page_uses_public_names_of_the_core_only() -> None:
    private = [
        f"{module_name(path)}: {name}"
        for path in sources("components")
        for name in imported(path)
        if name.startswith("dppa_core")
        if any(p.startswith("_") for p in set(name.split(".")) - {"__version__"})
    ]
    assert not private


def test_the_page_finds_its_own_parts_under_any_name() -> None:
    """A wheel installs `components` as `dppa_studio`."""
    by_name = [
        f"{path}, line {node.lineno}"
        for path in sources("components")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
        if any(name.split(".")[0] == "components" for name in imports_of(node, path))
    ]
    assert not by_name


def test_sessions_need_no_gradio() -> None:
    assert not users("components.session", {"gradio"})


GRADIO_INSIDE = "components.work.gradio_inside"
PUBLIC_OF_GRADIO = {"on", "api", "skip", "themes"}
"""What is used of `gr`, besides classes."""
PRIVATE_OF_GRADIO = {"fns", "state_holder", "api_info", "active_jobs", "event_ids_to_events"}
PRIVATE_OF_GRADIO |= {"event_queue_per_concurrency_id", "pending_messages_per_session"}
PRIVATE_OF_GRADIO |= {"pending_event_ids_session", "config_values"}


def test_one_module_knows_the_inside_of_gradio() -> None:
    allowed = {"gradio", "gradio.components.Component"}
    inside = []
    for path in sources("components", "app", "benchmarks"):
        names = {name for name in imported(path) if name.split(".")[0] == "gradio"} - allowed
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and _is_inside(node):
                names.add(ast.unparse(node))
        if module_name(path) != GRADIO_INSIDE:
            inside += [f"{module_name(path)}: {name}" for name in sorted(names)]
    assert not inside


def _is_inside(node: ast.Attribute) -> bool:
    """Whether an attribute is a private one of another object, or of Gradio."""
    whose = ast.unparse(node.value)
    if whose == "gr":
        return node.attr.islower() and node.attr not in PUBLIC_OF_GRADIO
    private = node.attr.startswith("_") and whose not in ("self", "cls", "super()", "os")
    return (private and not node.attr.endswith("__")) or node.attr in PRIVATE_OF_GRADIO


def test_the_app_only_builds_and_launches() -> None:
    path = ROOT / "app.py"
    assert not top_level(path) & HEAVY
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


# --- how large anything may be ---


def test_a_folder_can_be_seen_at_once() -> None:
    counts = Counter(path.parent for path in sources(*PACKAGES) if path.name != "__init__.py")
    rooms = {module_name(folder / "__init__.py"): count for folder, count in counts.items()}
    full = {name: n for name, n in rooms.items() if n > MOST_MODULES and name not in ONE_A_FILE}
    assert not full
    assert rooms["dppa_core"] <= 6 and "components" not in rooms


def test_a_file_has_one_purpose() -> None:
    assert not too_long(*PACKAGES, "app")


def too_long(*roots: str) -> list[str]:
    """Files and functions with more lines than allowed."""
    long = []
    for path in sources(*roots):
        if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES:
            long.append(str(path))
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node, clean=False) or ""
                length = (node.end_lineno or 0) - node.lineno - docstring.count("\n")
                if length > MOST_LINES_OF_A_FUNCTION:
                    long.append(f"{path}: {node.name}")
    return long


def test_a_module_opens_with_a_docstring() -> None:
    assert not [
        p for p in sources("dppa_core", "components", "app") if not ast.get_docstring(tree(p))
    ]


def test_no_print_no_global_no_broad_except() -> None:
    found = []
    for path in sources("dppa_core", "components", "app"):
        for node in ast.walk(tree(path)):
            if _is_banned(node):
                found.append(f"{path}, line {node.lineno}")  # type: ignore[attr-defined]
    assert not found


def _is_banned(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id == "print"
    if isinstance(node, ast.ExceptHandler):
        caught = ast.walk(node.type or ast.Name("BaseException"))
        names = {one.id for one in caught if isinstance(one, ast.Name)}
        return bool(names & {"Exception", "BaseException"})
    return isinstance(node, ast.Global)


def test_a_public_class_has_a_name_of_its_own() -> None:
    places: dict[str, list[str]] = {}
    for path in sources(*PACKAGES):
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module_name(path))
    assert not {name: modules for name, modules in places.items() if len(modules) > 1}


NAMED = re.compile(
    r"(?<![\w/.-])((?:dppa_core|components|tests|assets|scripts|docs)/[\w./-]*\w\.\w+)"
)


def test_every_path_that_is_named_exists() -> None:
    texts = [p for p in (ROOT / "docs").rglob("*.md")] + list(ROOT.glob("*.md"))
    named = [p for p in (*sources(*OURS), *texts) if p.name != "CHANGELOG.md"]
    lost = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in named
        for name in NAMED.findall(path.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    ]
    assert not lost


# --- what an import starts, and what is declared ---

SLOW = {
    "torch",
    "transformers",
    "huggingface_hub",
    "numba",
    "pydantic",
    "optuna",
    "accelerate",
    "pandas",
    "gradio",
}
"""Packages that a start does without; what brings one along may be imported inside a function."""
OF_THE_PLATFORM = {"spaces", "resource", "sentencepiece"}


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run on import."""
    for node in body:
        yield node
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            for name in ("body", "orelse", "handlers", "finalbody"):
                inner = getattr(node, name, [])
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield from _statements(inner)


@cache
def at_once(module: str) -> tuple[str, ...]:
    """What one of our modules imports at import time, its packages included."""
    path = known_modules()[module]
    own = [name for node in _statements(tree(path).body) for name in imports_of(node, path)]
    return (*own, *([module.rpartition(".")[0]] if "." in module else []))


@cache
def brings(name: str) -> set[str]:
    """Third-party packages that an import loads, as far as sources show."""
    left, seen, found = [name], set[str](), set[str]()
    while left:
        one = left.pop()
        module = resolve(one)
        if not module:
            found.add(one.split(".")[0])
        elif module not in seen:
            seen.add(module)
            left += at_once(module)
    return found


def test_only_what_is_slow_is_imported_inside_a_function() -> None:
    extras = {name.replace("-", "_") for name in _extras() - _declared()[0].keys()}
    allowed = SLOW | OF_THE_PLATFORM | extras
    early = []
    for path in sources(*PACKAGES):
        for function in ast.walk(tree(path)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [name for node in ast.walk(function) for name in imports_of(node, path)]
                early += [f"{module_name(path)}: {n}" for n in names if not brings(n) & allowed]
    # Commands start quickly; the page's own first switches garbage collection off.
    assert not [
        one for one in early if not one.startswith(("dppa_core.cli.", "components.page.command"))
    ]


def brought_along(statement: str) -> set[str]:
    """Top-level packages that are loaded after `statement` ran in a fresh interpreter."""
    code = f"{statement}\nimport sys; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split()}


def test_planning_and_merging_start_without_torch() -> None:
    loaded = brought_along(
        "import dppa_core.pruning.plan, dppa_core.merging.to_folder, dppa_core.cli.main"
    )
    assert not loaded & {"torch", "transformers", "gradio", "plotly", "pandas"}


def test_the_page_starts_without_torch_and_without_gradios_stubs() -> None:
    writes = "from gradio.component_meta import create_or_modify_pyi as write; write(None, '', [])"
    loaded = brought_along(f"import components.page.workbench; {writes}")  # the real one fails
    assert not loaded & {"torch", "transformers", "numba"}


AUDIT = """
import sys
def watch(event, args):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.mkdir", "os.rename"):
        # ldconfig is how the standard library itself looks for a shared library (Python 3.12)
        if not any("pycache" in str(a) or "ldconfig" in str(a) for a in args):
            sys.exit(f"{event} {args}")
sys.addaudithook(watch)
"""


def test_importing_the_core_starts_nothing() -> None:
    light = [
        module_name(p)
        for p in sources("dppa_core")
        if p.stem != "__main__" and not top_level(p) & HEAVY
    ]
    brought_along(AUDIT + "import " + ", ".join(light))


def _requirement(line: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*(.*)", line.strip())
    assert match, line
    return match[1].lower().replace("_", "-"), match[2]


def _declared() -> tuple[dict[str, str], dict[str, str]]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = dict(_requirement(x) for x in lines if x and not x.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["app"]
    return listed, dict(map(_requirement, wanted))


def test_requirements_and_pyproject_agree() -> None:
    listed, packaged = _declared()
    assert listed == packaged


def test_requirements_are_ranges_any_index_can_serve() -> None:
    listed, _ = _declared()
    for name, spec in listed.items():
        assert ">=" in spec and "<" in spec.replace(">=", ""), f"{name} needs both bounds: {spec!r}"
        assert not re.search(r"==|\+|@|/", spec), f"{name} is pinned to one place: {spec!r}"


def _extras() -> set[str]:
    """Optional packages of the extras; importers report a missing one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = [
        line for extra in set(extras) - {"app", "test", "dev", "docs"} for line in extras[extra]
    ]
    return {re.split(r"[\[<>=]", line)[0].lower().replace("_", "-") for line in named}


def test_what_is_imported_is_declared() -> None:
    listed = _declared()[0].keys() | _extras()
    aliases = {"yaml": "pyyaml", "markdown_it": "markdown-it-py"}
    aliases |= {"pythonjsonlogger": "python-json-logger"}
    for path in sources("dppa_core", "components", "app"):
        foreign = top_level(path) - set(OURS) - set(sys.stdlib_module_names)
        missing = {m for m in foreign if aliases.get(m, m).replace("_", "-") not in listed}
        assert not missing, f"{path}: {missing}"


def test_the_space_runs_the_version_the_requirements_allow() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    head = dict(re.findall(r"^(\w+): *(.+)$", text.split("---")[1], re.MULTILINE))
    listed, _ = _declared()
    low = re.search(r">=([\d.]+)", listed["gradio"])
    assert head["sdk"] == "gradio" and head["app_file"] == "app.py"
    assert low and head["sdk_version"].startswith(low[1])
