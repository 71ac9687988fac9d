"""Check what was built: `python docs/check_build.py docs/_build`.

Every link inside the pages leads to a page and a place that exist; every example took at most
a minute. Nothing outside is looked up.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

MOST_SECONDS = 60


class Page(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        """Note links, pictures and places."""
        attributes = dict(attributes)
        self.places.update(attributes[name] for name in ("id", "name") if attributes.get(name))
        self.links += [attributes[name] for name in ("href", "src") if attributes.get(name)]


def broken_links(folder):
    """Return a line for every link inside the pages that leads nowhere, and how many there are."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    lines, n_links = [], 0
    for path, page in pages.items():
        # Templates of the theme, and listings of source code, whose way back knows one name only.
        if path.relative_to(folder.resolve()).parts[0] in ("_static", "_modules"):
            continue
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            n_links += 1
            to = (path.parent / unquote(url.path)).resolve() if url.path else path
            place = unquote(url.fragment)
            if not to.exists() or (place and to in pages and place not in pages[to].places):
                lines.append(f"{path.relative_to(folder.resolve())}: {link}")
    return lines, n_links


def slow_examples(report):
    """Return a line for every example over the limit, and how many examples there are."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    seconds = {case.get("classname"): float(case.get("time")) for case in cases}
    return [f"{name}: {s:.0f} s" for name, s in seconds.items() if s > MOST_SECONDS], len(cases)


def main():
    folder = Path(sys.argv[1])
    broken, n_links = broken_links(folder)
    slow, n_examples = slow_examples(folder / "example-times.xml")
    if broken or slow or not n_links or not n_examples:
        sys.exit("\n".join([f"{n_links} links, {n_examples} examples", *broken, *slow]))
    print(f"{n_links} links lead somewhere; {n_examples} examples, each under {MOST_SECONDS} s")


if __name__ == "__main__":
    main()
