"""The documents keep their word: examples run, exports are listed, tables are fresh."""

import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skt
import skt.datasets
import skt.metrics
import skt.plots
import skt.study
import skt.theory
from skt.cli.main import main

ROOT = Path(__file__).parents[1]
PUBLIC = {
    "skt": skt,
    "skt.datasets": skt.datasets,
    "skt.metrics": skt.metrics,
    "skt.plots": skt.plots,
    "skt.study": skt.study,
    "skt.theory": skt.theory,
}
# Made when the documentation is built, which checks links to them.
MADE = ("auto_examples/", "gen_modules/")
FOLDERS = ("", "methods", "evidence")
DOCS = [page for folder in FOLDERS for page in sorted((ROOT / "docs" / folder).glob("*.md"))]
METHODS = sorted((ROOT / "docs" / "methods").glob("*.md"))
TEXTS = [*DOCS, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
MOST_LINES, MOST_WORDS = 120, 19_000
TABLE = re.compile(r"<!-- (.+?) -->\n.*?<!-- end -->", re.S)


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", DOCS, ids=name_of)
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


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert link.startswith(MADE) or (page.parent / link).exists(), link


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_places_in_pages_exist(page):
    for link, place in re.findall(
        r"\]\((?!https?:)([^)#]*\.md)#([^)]+)\)", page.read_text(encoding="utf-8")
    ):
        headings = re.findall(
            r"^#+ (.+)$", (page.parent / link).read_text(encoding="utf-8"), flags=re.M
        )
        slugs = [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings]
        assert place in slugs, f"{link}#{place}"


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_files_and_functions_on_the_pages_exist(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:skt|docs|benchmarks|tests)/[\w/.]*)`", text):
        assert "_build" in path or (ROOT / path).exists(), path
    for module, name in re.findall(r"<(skt\.core\.\w+)\.(\w+)>`", text):
        assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_pages_in_docstrings_exist():
    for path in sorted((ROOT / "skt").rglob("*.py")):
        for page in re.findall(r"docs/[\w/]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / page).exists(), f"{path.relative_to(ROOT)}: {page}"


@pytest.mark.parametrize("page", METHODS, ids=name_of)
def test_page_of_a_method_is_read_to_its_end(page):
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert ">>> " in text
    assert not TABLE.search(text), "tables stand in docs/evidence"
    headings = re.findall(r"^## (.+)$", text, re.M)
    wanted = ["When to use it", "Example", "The programme", "Departures from the paper", "Limits"]
    assert [heading for heading in headings if heading in wanted] == wanted


def test_documentation_is_short():
    words = [len(TABLE.sub("", page.read_text(encoding="utf-8")).split()) for page in DOCS]
    assert sum(words) <= MOST_WORDS


def test_worst_cases_are_where_a_reader_chooses():
    """Promises and figures come from the same results, on the pages that make promises."""
    marks = {"README.md": "harm", "docs/index.md": "harm", "docs/choosing.md": "worst"}
    for page, mark in marks.items():
        assert f"<!-- {mark} -->" in (ROOT / page).read_text(encoding="utf-8")


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


@pytest.mark.parametrize("name", [n for n in skt.__all__ if isinstance(getattr(skt, n), type)])
def test_a_docstring_is_no_page(name):
    assert len(inspect.getdoc(getattr(skt, name)).splitlines()) <= 90


def test_tables_of_the_results_are_fresh():
    run = [sys.executable, "-m", "benchmarks.report", "--check"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
