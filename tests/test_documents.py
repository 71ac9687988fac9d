"""The documents keep their word: examples run, exports are listed, tables are fresh."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skt
import skt.datasets
import skt.plots
import skt.study
import skt.theory
from skt.__main__ import main

ROOT = Path(__file__).parents[1]
PUBLIC = {
    "skt": skt,
    "skt.datasets": skt.datasets,
    "skt.plots": skt.plots,
    "skt.study": skt.study,
    "skt.theory": skt.theory,
}
# Made when the documentation is built, which checks links to them.
MADE = ("auto_examples/", "gen_modules/")
DOCS = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_examples_of_the_pages_run(page):
    failures, _ = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert failures == 0


def test_every_export_is_on_the_models_page():
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    missing = [
        f"{name}.{export}"
        for name, module in PUBLIC.items()
        for export in module.__all__
        if f"`{name}.{export}`" not in page
    ]
    assert not missing


@pytest.mark.parametrize("name", PUBLIC)
def test_every_export_is_in_the_api_reference_and_nothing_else(name):
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    sections = re.split(r"^\.\. currentmodule:: (.+)$", page, flags=re.M)[1:]
    listed = {module: re.findall(r"^   (\w+)$", text, re.M) for module, text in zip(
        sections[::2], sections[1::2], strict=True)}  # fmt: skip
    assert sorted(listed[name]) == sorted(PUBLIC[name].__all__)


@pytest.mark.parametrize("page", [*DOCS, ROOT / "README.md"], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert link.startswith(MADE) or (page.parent / link).exists(), link


def test_python_of_the_readme_runs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.M | re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def numbers_and_words(text):
    """Split a text into numbers and what stands between, lines and columns left aside."""
    parts = re.split(r"(-?\d+\.\d+|\d+)", " ".join(text.split()))
    return [float(n) for n in parts[1::2]], [word.strip() for word in parts[::2]]


@pytest.mark.slow
def test_output_in_the_readme_is_what_the_command_prints(capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^```text\n(.*?)^```", readme, re.M | re.S)[1]
    assert main(["compare"]) == 0
    numbers, words = numbers_and_words(capsys.readouterr().out)
    shown_numbers, shown_words = numbers_and_words(shown)
    assert words == shown_words
    # Other versions of what lies below may choose another penalty here and there.
    np.testing.assert_allclose(numbers, shown_numbers, rtol=0.03, atol=0.02)


def test_public_docstrings_have_an_example_and_name_their_parameters():
    from numpydoc.docscrape import ClassDoc, FunctionDoc

    for name in skt.__all__:
        thing = getattr(skt, name)
        if isinstance(thing, type) and issubclass(thing, Warning):
            continue
        doc = ClassDoc(thing) if isinstance(thing, type) else FunctionDoc(thing)
        assert doc["Summary"], name
        assert doc["Examples"] or name == "Comparison", name


def test_tables_of_the_results_are_fresh():
    run = [sys.executable, "-m", "benchmarks.report", "--check"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
