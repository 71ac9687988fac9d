"""What the project says of itself: versions, extras, and the README's two commands."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else ""

# The first screen ends where the second section begins.
FIRST_SCREEN = 60


def requirements(lines):
    return {re.split(r"[\[>=<! ]", line)[0]: line for line in lines}


def commands():
    """Commands of the README's first screen, in order, as .ci/run finds them."""
    screen = "\n".join(README.splitlines()[:FIRST_SCREEN])
    return [block.strip() for block in re.findall(r"^```sh\n(.*?)^```", screen, re.M | re.S)]


def test_the_first_screen_holds_two_commands():
    main, test = commands()
    for command in (main, test):
        assert len(command.splitlines()) == 1
        assert command.startswith("python3 -m venv .venv && ")
    assert "pip install" in main
    assert main.endswith("python -m skt compare")
    assert test.endswith("python -m pytest")


def test_commands_name_extras_that_exist():
    extras = set(re.findall(r'"\.\[(.+?)\]"', " ".join(commands())))
    assert extras
    assert {name for group in extras for name in group.split(",")} <= set(
        PROJECT["optional-dependencies"]
    )


def test_distribution():
    assert PROJECT["name"] == "scikit-transfer"
    assert PROJECT["requires-python"] == ">=3.11"
    extras = set(PROJECT["optional-dependencies"])
    assert {"plot", "table", "test", "docs", "bench", "dask"} <= extras
    assert (ROOT / "skt" / "py.typed").exists()
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("BSD 3-Clause License")


def test_installed_version_is_the_declared_one():
    try:
        installed = importlib.metadata.version("scikit-transfer")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("run from the source tree, without installation")
    assert installed == PROJECT["version"]


def test_every_dependency_has_a_lower_bound():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    own = f"{PROJECT['name']}["  # an extra that includes another
    lines = [line for group in groups for line in group if not line.startswith(own)]
    assert not [line for line in lines if ">=" not in line]


def test_the_oldest_versions_are_tested():
    """The constraints of .ci/run are the declared lower bounds, not newer ones."""
    lines = (ROOT / ".ci" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = requirements(line for line in lines if line and not line.startswith("#"))
    extras = PROJECT["optional-dependencies"]
    for name, line in requirements([*PROJECT["dependencies"], *extras["test"]]).items():
        bound = line.partition(">=")[2]
        if name in pinned:
            pin = pinned[name].partition("==")[2]
            assert pin == bound or pin.startswith(f"{bound}."), name
    assert set(requirements(PROJECT["dependencies"])) <= set(pinned)
