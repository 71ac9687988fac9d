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

# Whose modules of ours each module may import; every estimator family is a `_name` module.
ARROWS = {
    "core": {"core"},
    "sources": {"core.moments"},
    "model_selection": {"sources", "_sklearn"},
    "_sklearn": set(),
    "plots": {"plots", "core.allocation"},
    "datasets": {"datasets"},
    "theory": {"core.spectra"},
    "_base": {"sources", "core.glm", "core.moments", "_sklearn"},
    "_units": {"core"},
    "_columns": {"core"},
    "_folds": {"core"},
    "_latent_factors": {"core"},
    "_describe": set(),
    "_records": {"_describe"},
    "_summaries": {"_records"},
    "study": {"_describe", "_records", "_summaries"},
    "_losses": set(),
    "_methods": {"_losses", "sources", "study"},
    "_estimates": {"_summaries"},
    "_verdict": {"_estimates"},
    "_comparison": {"_losses", "_estimates", "_verdict", "plots"},
    "_compare": {"study", "sources", "_losses", "_methods", "_comparison"},
    "reproductions": {
        "study",
        "datasets",
        "core",
        "sources",
        "plots",
        "theory",
        "_uowq",
        "_reduced_rank",
        "_smart",
        "reproductions",
    },
    "_report": {"_comparison", "_losses", "plots"},
    "_table": {"datasets"},
}
FAMILIES = {
    "_uowq",
    "_l2sp",
    "_reduced_rank",
    "_smart",
    "_otqms",
    "_h_ensemble",
    "_parameter_transfer",
}
FAMILY_MAY = {
    "sources",
    "core",
    "model_selection",
    "_sklearn",
    "_base",
    "_units",
    "_columns",
    "_folds",
    "_latent_factors",
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


def within(module, allowed):
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def allowed(module):
    first = module.split(".")[0]
    return FAMILY_MAY | {first} if first in FAMILIES else ARROWS.get(first)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_arrows(path):
    may = allowed(name_of(path))
    if may is None:
        pytest.skip("no arrow is drawn for this module")
    wrong = {module for module in ours(path) if not within(module, may)}
    assert not wrong, f"{name_of(path)} may import {sorted(may)} of ours only"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=name_of)
def test_core_is_numpy_and_scipy(path):
    may = {"numpy", "scipy", "skt"} | ({"cvxpy"} if path.name == "convex.py" else set())
    roots = {module.split(".")[0] for module, _ in imports(path)}
    assert roots <= may | STANDARD


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
    if path.name == "convex.py":
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
    if path.name == "__main__.py":
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
