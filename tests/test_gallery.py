"""Examples of the gallery: what can be said of them without running them (.ci/run does)."""

import ast
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "docs" / "examples").glob("plot_*.py"))
MOST_LINES_OF_CODE = 75


def test_there_are_examples():
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_title_is_a_question(path):
    title = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()[0]
    assert title.endswith("?")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_data_are_real_and_there_is_a_picture(path):
    code = path.read_text(encoding="utf-8")
    assert "import load_" in code
    assert "make_" not in code.replace("make_pipeline", "")
    assert "plt.show()" in code


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_code_is_short(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ends = [(node.lineno, node.end_lineno) for node in tree.body[1:]]
    lines = {line for start, end in ends for line in range(start, end + 1)}
    assert len(lines) <= MOST_LINES_OF_CODE
