"""GNU Mailman 3 mailing lists as an audience."""

from optsync_mailman3.connector import Mailman3

__all__ = ["Mailman3"]
