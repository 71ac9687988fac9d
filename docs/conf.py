"""How the documentation is built: `python -m sphinx -n -W -b html docs docs/_build`."""

import inspect
import re
import sys
import warnings
from pathlib import Path

import skt

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]  # the chart is made from benchmarks/results

import choosing_chart  # noqa: E402

project = "scikit-transfer"
author = "scikit-transfer developers"
copyright = author
release = version = skt.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
]

# Pages -------------------------------------------------------------------------------------------

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "examples", "templates"]
templates_path = ["templates"]

html_theme = "pydata_sphinx_theme"
html_title = "scikit-transfer"
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["wide.css"]
# Pages without neighbours need no list of them.
alone = "index start choosing models claims peers limits api core changes contributing"
html_sidebars = {page: [] for page in alone.split()}
html_theme_options = {
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_align": "left",
    "footer_start": ["copyright"],
    "footer_end": [],
}

# The reference -----------------------------------------------------------------------------------

autosummary_generate = True
autosummary_imported_members = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types are in the docstrings, in words
default_role = "autolink"
numpydoc_show_class_members = False
# Types in docstrings are words for the reader, not cross-references.
numpydoc_xref_param_type = False
nitpicky = True
# Other projects' pages are not read: building needs no network.
nitpick_ignore_regex = [
    ("py:.*", r"(sklearn|numpy|joblib|functools|pandas|matplotlib)\..*"),
    ("py:obj", r"_\w+|[A-Z_]+"),  # private functions and constants, named for readers of the code
]


def core_docstring(app, what, name, obj, options, lines):
    """Show docstrings of the core as they stand in the code: notation as it is, bars for norms."""
    if not name.startswith("skt.core"):
        return
    if what == "module":
        first, *rest = inspect.cleandoc(obj.__doc__).split("\n")
        lines[:] = [first, "", "::", "", *(f"   {line}" for line in rest)]
    else:
        lines[:] = [re.sub(r"``.*?``|\|", lambda m: m[0].replace("|", bar(m[0])), x) for x in lines]


def bar(match):
    """Return a bar as it is inside code, and escaped outside."""
    return "|" if match.startswith("``") else r"\|"


def draw_chart(app):
    """Draw the chart of choosing.md from the recorded results."""
    folder = Path(app.srcdir) / "gen_modules"
    folder.mkdir(exist_ok=True)
    choosing_chart.draw(folder / "choosing.svg")


def list_core(app):
    """List the modules of skt.core for core.md, so that a new one needs no line there."""
    names = sorted(path.stem for path in (ROOT / "skt" / "core").glob("[!_]*.py"))
    listed = "\n\n".join(CORE_MODULE.format(name=name) for name in names)
    folder = Path(app.srcdir) / "gen_modules"
    folder.mkdir(exist_ok=True)
    (folder / "core.txt").write_text(listed, encoding="utf-8")


CORE_MODULE = """## `skt.core.{name}`

```{{eval-rst}}
.. automodule:: skt.core.{name}
   :members:
```"""


def setup(app):
    """Connect what is ours."""
    app.connect("builder-inited", draw_chart)
    app.connect("builder-inited", list_core)
    app.connect("autodoc-process-docstring", core_docstring, priority=900)  # after numpydoc


# Examples ----------------------------------------------------------------------------------------

# `docs/check_build.py` fails if one takes more than a minute.
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "doc_module": ("skt",),
    "reference_url": {"skt": None},
    "backreferences_dir": "gen_modules/backreferences",
    "inspect_global_variables": True,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "within_subsection_order": "FileNameSortKey",
    "junit": "example-times.xml",
    "min_reported_time": 0,
    "download_all_examples": False,
    "capture_repr": ("_repr_html_",),  # a display is looked at, its name says nothing
    "image_srcset": ["2x"],
}

# A warning that an example would show its reader is an error of the example.
warnings.filterwarnings("error", module="__main__")
