"""The architecture, read off the source: who may import what."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "skt"
FILES = sorted(PACKAGE.rglob("*.py"))
STANDARD = sys.stdlib_module_names

# Which rooms each room may import. A room is a folder of skt/, or a file in its root.
ARROWS = {
    "core": set(),
    "sources": {"core", "_sklearn"},
    "model_selection": {"core", "sources", "_sklearn"},
    "estimators": {"core", "sources", "model_selection", "_sklearn"},
    "study": set(),
    "choice": {"estimators", "model_selection", "sources", "study", "plots"},
    "cli": {"choice", "datasets", "plots", "reproductions", "study"},
    "metrics": {"core", "plots", "_sklearn"},
    "plots": {"core"},
    "datasets": set(),
    "reproductions": {"estimators", "sources", "study", "datasets", "plots", "theory", "core"},
    "theory": {"core"},
    "_sklearn": set(),
    "__main__": {"cli"},
    "": {"choice", "core", "estimators", "model_selection", "sources"},
}


def name_of(path):
    """Name of a module inside the package: "core.moments", "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path, top_level_only=False):
    """(module, name) of every import; name is None for `import module`."""
    package = ["skt", *path.relative_to(PACKAGE).parts[:-1]]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = []
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            found += [(module, alias.name) for alias in node.names]
    return found


def ours(path):
    """Modules of ours that are imported, without the leading "skt."."""
    found = set()
    for module, name in imports(path):
        if module == "skt" or module.startswith("skt."):
            full = f"{module}.{name}" if is_module(f"{module}.{name}") else module
            found.add(full.removeprefix("skt").removeprefix("."))
    return found


def is_module(dotted):
    path = ROOT.joinpath(*dotted.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def room(module):
    return module.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_arrows(path):
    mine = room(name_of(path))
    wrong = {module for module in ours(path) if room(module) not in ARROWS[mine] | {mine}}
    assert not wrong, f"{name_of(path)} may import {sorted(ARROWS[mine])} of ours only"


def test_rooms_make_no_circle():
    floors, left = [], {here: set(there) for here, there in ARROWS.items()}
    while left:
        free = {here for here, there in left.items() if not there & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        floors.append(free)
        left = {here: there for here, there in left.items() if here not in free}
    assert floors[0] >= {"core", "study"}


def test_files_of_a_room_make_no_circle():
    left = {name_of(path): ours(path) - {name_of(path)} for path in FILES}
    left = {here: {there for there in to if there in left} for here, to in left.items()}
    while left:
        free = {here for here, there in left.items() if not there & left.keys()}
        assert free, f"a circle among {sorted(left)}"
        left = {here: there for here, there in left.items() if here not in free}


def test_the_root_holds_doors_only():
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "_sklearn.py", "theory.py", "py.typed"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_arrow_is_hidden(path):
    """A module imported by its name in a string is seen by no reader, checker or test."""
    calls = [
        node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)
    ]
    names = {getattr(call.func, "id", getattr(call.func, "attr", "")) for call in calls}
    assert not names & {"import_module", "__import__", "find_spec"}


FORMS = {"Source", "Moments", "SourceModel", "FrozenEstimator", "SourceRows", "SourceMoments",
         "SourceCoefficients"}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_sources_asks_what_a_source_is(path):
    """Elsewhere a source answers for itself, and a new form changes one room."""
    # Merges its like; describes any estimator.
    allowed = {"core.moments", "study.describe"}
    if room(name_of(path)) == "sources" or name_of(path) in allowed:
        pytest.skip("its business")
    asked = [
        node.args[1]
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in ("isinstance", "issubclass")
    ]
    names = {getattr(part, "id", "") for each in asked for part in ast.walk(each)}
    assert not names & FORMS


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=name_of)
def test_core_is_numpy_and_scipy(path):
    may = {"numpy", "scipy", "skt"} | ({"cvxpy"} if path.name == "constrained.py" else set())
    roots = {module.split(".")[0] for module, _ in imports(path)}
    assert roots <= may | STANDARD


# Every module's own programme as an executable function, by which its solver is tested.
SAME_IN_ALL = {"objective"}


def test_a_name_of_the_core_has_one_meaning():
    where = {}
    for path in (PACKAGE / "core").glob("*.py"):
        for name in defined(path):
            where.setdefault(name, []).append(path.name)
    twice = {name: files for name, files in where.items() if len(files) > 1}
    assert not twice.keys() - SAME_IN_ALL, twice


def defined(path):
    """Names that a module defines at its top level."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        for target in filter(None, targets):
            yield from {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_private_names_of_scikit_learn_have_one_door(path):
    if path.name == "_sklearn.py":
        pytest.skip("the door")
    private = [
        f"{module}.{name}"
        for module, name in imports(path)
        if module.split(".")[0] == "sklearn"
        and any(part.startswith("_") for part in f"{module}.{name or ''}".split("."))
    ]
    assert not private, "import them through skt._sklearn"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_heavy_libraries_wait_until_they_are_used(path):
    heavy = {"cvxpy", "pandas", "polars", "matplotlib", "pyarrow", "dask"}
    if path.name == "constrained.py":
        heavy.discard("cvxpy")  # itself imported late
    assert not heavy & {module.split(".")[0] for module, _ in imports(path, top_level_only=True)}


def test_importing_the_package_imports_nothing_heavy():
    # Newer scikit-learn imports pandas itself where it is installed; that is not ours.
    ours_alone = loaded_by("skt") - loaded_by("sklearn.linear_model")
    assert "skt" in ours_alone
    assert not {"cvxpy", "pandas", "polars", "matplotlib", "pyarrow", "dask"} & ours_alone


def loaded_by(module):
    """Top-level names that a fresh interpreter holds after importing a module."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = [sys.executable, "-c", code]
    return set(
        subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_library_does_not_print(path):
    if path.parent.name == "cli":
        pytest.skip("its output is its purpose")
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
             if isinstance(node, ast.Call)]  # fmt: skip
    assert not [call.lineno for call in calls if getattr(call.func, "id", None) == "print"]


def project_files():
    """Tracked text files, or every file of the tree where git does not know it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    names = listed.stdout.decode().split("\0") if listed.returncode == 0 else []
    paths = [ROOT / name for name in names if name] or [*FILES, *(ROOT / "tests").rglob("*.py")]
    suffixes = {".py", ".md", ".rst", ".toml", ".txt", ".yml", ".yaml", ".cfg", ".csv", ""}
    return [path for path in paths if path.suffix in suffixes and path.is_file()]


MACHINE = re.compile(r"(?<![\w.])/(work|root|home|Users|opt|mnt)/\w|[A-Z]:\\\\?Users")


def test_no_file_knows_a_machine():
    mine = Path(__file__).name  # holds the patterns
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in project_files()
        if path.name != mine
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1)
        if MACHINE.search(line)
    ]
    assert not found


@pytest.mark.parametrize("text", ["see /home/ann/data", "open('/home/bob/x')", r"C:\Users\ann"])
def test_a_path_of_a_machine_is_recognised(text):
    assert MACHINE.search(text)
    assert not MACHINE.search("https://example.org/home/page and ./home/x and a/opt/b")
