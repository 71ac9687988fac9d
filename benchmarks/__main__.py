"""Run benchmarks: ``python -m benchmarks [NAME ...] [--list]``.

``python -m benchmarks tables`` and ``fresh`` have options of their own: see their ``--help``.
"""

import sys

from benchmarks import fresh, registry, report, tables
from benchmarks.harness import command

OWN_COMMANDS = {"tables": tables.main, "fresh": fresh.main}

if sys.argv[1:2] and sys.argv[1] in OWN_COMMANDS:
    OWN_COMMANDS[sys.argv[1]](sys.argv[2:])
elif command(registry.benchmarks()):
    report.write()
