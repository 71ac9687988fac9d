"""Run benchmarks: ``python -m benchmarks [NAME ...] [--list]``."""

from benchmarks import registry, report
from benchmarks.harness import command

command(registry.benchmarks())
report.write()
