"""Write the tables of docs/*.md from benchmarks/results/*.json.

    python -m benchmarks.report [--check]

Text between ``<!-- NAME -->`` and ``<!-- end -->`` is replaced by the table NAME, on whatever
page it stands; with --check nothing is written and a stale page is an error.
"""

import re
import sys
from pathlib import Path

from benchmarks import registry

DOCS = Path(__file__).parents[1] / "docs"
TABLE = re.compile(r"<!-- (.+?) -->\n.*?<!-- end -->", flags=re.S)


def filled(page, tables):
    """Return the text of a page with every table made anew."""

    def table(match):
        if match[1] not in tables:
            raise ValueError(f"there is no table {match[1]!r}; there are {', '.join(tables)}.")
        return f"<!-- {match[1]} -->\n{tables[match[1]]()}\n<!-- end -->"

    return TABLE.sub(table, page)


def stale(docs=DOCS):
    """Return the pages whose tables are not those of the results, with what they should be."""
    tables = registry.tables()
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(docs.glob("*.md"))}
    made = {path: filled(text, tables) for path, text in pages.items()}
    return {path: text for path, text in made.items() if text != pages[path]}


def write(docs=DOCS):
    """Bring all pages up to date."""
    for path, text in stale(docs).items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.name}", file=sys.stderr)


def main():
    if "--check" not in sys.argv:
        write()
    elif names := ", ".join(path.name for path in stale()):
        sys.exit(f"stale: {names}; run python -m benchmarks.report")


if __name__ == "__main__":
    main()
