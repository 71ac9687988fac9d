"""Write the tables of docs/ and of README.md from benchmarks/results/*.json.

    python -m benchmarks.report [--check]

Text between ``<!-- NAME -->`` and ``<!-- end -->`` is replaced by the table NAME, on whatever
page it stands; with --check nothing is written and a stale page is an error.
"""

import re
import sys
from pathlib import Path

from benchmarks import registry

DOCS = Path(__file__).parents[1] / "docs"
BUILT = {"_build", "auto_examples", "gen_modules"}
TABLE = re.compile(r"<!-- (.+?) -->\n.*?<!-- end -->", flags=re.S)


def pages(docs=DOCS):
    """Return the pages that may hold tables: all of docs/ but what is built, and the README."""
    written = [p for p in sorted(docs.rglob("*.md")) if not BUILT & set(p.relative_to(docs).parts)]
    return [*written, *docs.parent.glob("README.md")]


def filled(page, tables):
    """Return the text of a page with every table made anew, and messages on what is missing.

    A table whose results were never made stays as it is.
    """
    missing = []

    def table(match):
        if match[1] not in tables:
            raise ValueError(f"there is no table {match[1]!r}; there are {', '.join(tables)}.")
        try:
            return f"<!-- {match[1]} -->\n{tables[match[1]]()}\n<!-- end -->"
        except FileNotFoundError as error:
            missing.append(str(error))
            return match[0]

    return TABLE.sub(table, page), missing


def stale(docs=DOCS):
    """Return stale pages as the results have them, and messages on what is missing."""
    tables, changed, missing = registry.document_tables(), {}, []
    for path in pages(docs):
        text = path.read_text(encoding="utf-8")
        made, lacking = filled(text, tables)
        missing += lacking
        if made != text:
            changed[path] = made
    return changed, missing


def write(docs=DOCS):
    """Bring all pages up to date."""
    changed, missing = stale(docs)
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")
    _say([*(f"wrote {path.name}" for path in changed), *missing])


def _say(lines):
    for line in lines:
        print(line, file=sys.stderr)


def main():
    if "--check" not in sys.argv:
        write()
        return
    changed, missing = stale()
    lines = [f"{path.name} is stale; run python -m benchmarks.report" for path in changed]
    if lines + missing:
        sys.exit("\n".join(lines + missing))


if __name__ == "__main__":
    main()
