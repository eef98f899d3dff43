"""A CSV file for optsync."""

from optsync_csv.connector import Csv

__all__ = ["Csv"]
