"""The rules of the architecture, as tests: who may know whom, and what no file may do.

Reads the source; runs it only to see what an import brings along.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("dppa_core", "components", "app", "benchmarks")

# Inside the core: a module knows its own layer and the ones above it in this list.
CORE_LAYERS = tuple(
    set(names.split())
    for names in (
        "errors progress foreign shortage",
        # pure math: numbers in, numbers out
        """
        parameters modules names coefficients
        deltas significance density partition
        methods plan table
        sampling
        intervals
        conflict
        conflict cell_table delta_size
        licences quantisation vocabulary
        """,
        # files, and the loops over their bytes
        """
        floats kernels chunks near scoring score_binning binning cuts workers releaser
        regular_files model_files file_hashes profiled_before
        strict_json safetensors_io safetensors_write shards renames atomic scratch cache
        checkpoint torch_files sources references hub lora pack provenance
        tokenizer token_ids chat_templates aligned alignment companions convert
        recipe pairs shelf profile preflight presets tasks loading calibration
        calibrated joint closeup excerpt output_error rounding
        merge merger mergekit comparison diff card export fingerprints
        explain
        """,
        # models in memory
        """
        tasks zoo
        pool spread resident on_device handed loading places live decode generate evaluate
        replying
        attribution shell cell_diff
        zoo
        outcome
        marks answers examiner perplexity harness
        pool resident decode generate evaluate
        adamerging search cluster
        experiments
        soup
        advice
        breaks
        """,
        "cli cli_runs cli_zoo __main__",
    )
)
PURE = CORE_LAYERS[1]
IMPURE = {"os", "io", "pathlib", "time", "datetime", "random", "socket", "urllib", "tempfile"}
IMPURE |= {"shutil", "subprocess", "threading", "logging", "requests", "safetensors"}

# The parts of the interface that views share; every other file in components/ is a view.
SHARED = {
    *("session", "session_json", "session_levels", "session_state", "curve", "link"),
    *("studio", "job", "works", "allowance", "running", "search_work", "presets", "method_choice"),
    *("recipe_session", "recent", "slots", "search_words"),
    *("figures", "tables", "findings", "forms", "notices", "theme", "live", "drawing"),
    *("exports", "export_work", "export_values", "downloads", "report", "report_figures"),
    *(
        "conversation",
        "question",
        "settings",
        "operations",
        "doors",
        "bodies",
        "connections",
        "heads",
        "hosts",
        "guarded",
        "gpu",
        "express",
        "memory",
        "presence",
        "turns",
        "visitor",
        "sessions",
        "fair_order",
        "event_owner",
        "export_limits",
    ),
    *("glossary", "lessons", "learn_files"),
}  # what views have in common
COMPOSERS = {
    "workbench",
    "page",
    "wiring",
    "wiring_models",
    "wiring_chat",
    "wiring_tune",
    "wiring_see",
}  # lay the views out, and wire them; only they know them
HEAVY = {"torch", "transformers", "safetensors", "tokenizers"}

Imports = dict[str, set[str]]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def sources(*roots: str) -> list[Path]:
    """Every Python file below `roots` (folders, or modules without `.py`)."""
    found: list[Path] = []
    for root in roots:
        single = ROOT / f"{root}.py"
        found += [single] if single.exists() else sorted((ROOT / root).rglob("*.py"))
    return [p for p in found if "__pycache__" not in p.parts]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """Full dotted names of what `path` imports, inside functions too."""
    package = (
        module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    )
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            stem = ".".join([*above, node.module or ""]).strip(".") if node.level else node.module
            for alias in node.names:
                yield f"{stem}.{alias.name}"


def top_level(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@cache
def known_modules() -> frozenset[str]:
    return frozenset(module_name(p) for p in sources(*OURS))


def resolve(name: str) -> str:
    """`dppa_core.plan.plan_pruning` -> `dppa_core.plan`: the module an imported name lives in."""
    while name and name not in known_modules():
        name = name.rpartition(".")[0]
    return name


def ours(path: Path) -> set[str]:
    return {m for m in map(resolve, imported(path)) if m} - {module_name(path)}


def part(module: str) -> str:
    """The name that decides a core module's layer: `dppa_core.methods.dare` -> `methods`."""
    return module.split(".")[1] if "." in module else ""


def layer(module: str) -> int:
    name = part(module)
    for rank, names in enumerate(CORE_LAYERS):
        if name in names or any(name.startswith(n + "_") for n in names):
            return rank
    raise AssertionError(f"{module} has no layer yet: name it in CORE_LAYERS")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


CORE = [p for p in sources("dppa_core") if p.parent.name != "dppa_core" or p.stem != "__init__"]
PAGE = sources("components")


@pytest.mark.parametrize("path", sources("dppa_core"), ids=ids)
def test_the_core_knows_no_interface(path: Path) -> None:
    assert not top_level(path) & {"gradio", "plotly", "pandas", "components", "app", "benchmarks"}


@pytest.mark.parametrize("path", CORE, ids=ids)
def test_a_core_module_knows_only_its_layer_and_those_above(path: Path) -> None:
    mine = layer(module_name(path))
    known = {m for m in ours(path) if part(m)}
    assert not {m for m in known if layer(m) > mine}


@pytest.mark.parametrize("path", [p for p in CORE if part(module_name(p)) in PURE], ids=ids)
def test_pure_math_touches_no_file_clock_or_network(path: Path) -> None:
    assert not top_level(path) & IMPURE


@pytest.mark.parametrize("path", PAGE, ids=ids)
def test_the_page_never_touches_tensors(path: Path) -> None:
    assert not top_level(path) & HEAVY


@pytest.mark.parametrize("path", PAGE, ids=ids)
def test_the_page_uses_public_names_of_the_core_only(path: Path) -> None:
    core = {n for n in imported(path) if n.startswith("dppa_core")}
    parts = {part for name in core for part in name.split(".")} - {"__version__"}
    assert not {part for part in parts if part.startswith("_")}
    assert not top_level(path) & {"app", "benchmarks"}


@pytest.mark.parametrize("path", [p for p in PAGE if p.stem not in SHARED], ids=ids)
def test_no_view_knows_another_view(path: Path) -> None:
    if path.stem in COMPOSERS | {"__init__"}:
        return
    known = {m.split(".")[1] for m in ours(path) if m.startswith("components.")}
    assert known <= SHARED, f"views share through {sorted(SHARED)} only"


@pytest.mark.parametrize("name", ["conversation", "question"])
def test_values_of_the_chat_need_no_gradio(name: str) -> None:
    assert "gradio" not in top_level(ROOT / "components" / f"{name}.py")


@pytest.mark.parametrize("name", ["figures", "tables", "session", "session_state", "method_choice"])
def test_values_of_the_page_need_no_gradio(name: str) -> None:
    path = ROOT / "components" / f"{name}.py"
    assert "gradio" not in top_level(path)


def test_the_app_only_builds_and_launches() -> None:
    path = ROOT / "app.py"
    assert not top_level(path) & HEAVY
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {module_name(p): ours(p) for p in sources(*OURS)}
    for module, known in graph.items():  # a package's __init__ re-exports what lies below it
        known -= {m for m in known if module.startswith(m + ".")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("path", sources(*OURS), ids=ids)
def test_a_file_has_one_purpose(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 320
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 60, f"{node.name} is {length} lines long"


@pytest.mark.parametrize("path", sources("dppa_core", "components", "app"), ids=ids)
def test_a_file_says_what_it_is(path: Path) -> None:
    text = ast.get_docstring(tree(path))
    assert text, "a module opens with a docstring"


@pytest.mark.parametrize("path", sources("dppa_core", "components", "app"), ids=ids)
def test_no_print_no_global_no_broad_except(path: Path) -> None:
    for node in ast.walk(tree(path)):
        assert not isinstance(node, ast.Global), f"global in line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"print in line {node.lineno}"
        if isinstance(node, ast.ExceptHandler):
            names = {n.id for n in ast.walk(node.type or ast.Name("BaseException")) if _named(n)}
            assert not names & {"Exception", "BaseException"}, f"broad except, line {node.lineno}"


def _named(node: ast.AST) -> bool:
    return isinstance(node, ast.Name)


def brought_along(statement: str) -> set[str]:
    """Top-level packages that are loaded after `statement` ran in a fresh interpreter."""
    code = f"{statement}\nimport sys; sys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split()}


def test_planning_and_merging_start_without_torch() -> None:
    loaded = brought_along("import dppa_core.plan, dppa_core.merge, dppa_core.cli")
    assert not loaded & {"torch", "transformers", "gradio", "plotly", "pandas"}


def test_the_page_starts_without_torch_and_without_gradios_stubs() -> None:
    writes = "from gradio.component_meta import create_or_modify_pyi as write; write(None, '', [])"
    loaded = brought_along(f"import components.workbench; {writes}")  # the true one would fail
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
    light = [module_name(p) for p in CORE if p.stem != "__main__" and not top_level(p) & HEAVY]
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
    """Packages that only who asks for an extra has; whoever imports them says so if they lack."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = [line for extra in set(extras) - {"app", "test", "dev"} for line in extras[extra]]
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
