"""Text that a vendor or a handler may hand over, and nothing can store or send."""

import re

HALF = re.compile("[\ud800-\udfff]")
"""Half of a character outside of the basic plane, as it is left where a text was cut."""
