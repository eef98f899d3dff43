"""Prints what the kit shows."""

import sys

from optsync.connect.conformance.clauses import page

sys.stdout.write(page())
