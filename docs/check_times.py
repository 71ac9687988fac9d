"""Fail if an example was slow: `python docs/check_times.py docs/_build/example-times.xml`."""

import sys
from xml.etree import ElementTree

MOST_SECONDS = 60


def slow(report):
    """Return a line for every example over the limit, and how many examples there were."""
    cases = list(ElementTree.parse(report).iter("testcase"))
    seconds = {case.get("classname"): float(case.get("time")) for case in cases}
    return [f"{name}: {s:.0f} s" for name, s in seconds.items() if s > MOST_SECONDS], len(cases)


def main():
    lines, n_examples = slow(sys.argv[1])
    if lines or not n_examples:
        sys.exit(f"{n_examples} examples; over {MOST_SECONDS} s: {'; '.join(lines) or 'none'}")
    print(f"{n_examples} examples, each under {MOST_SECONDS} s")


if __name__ == "__main__":
    main()
