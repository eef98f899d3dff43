"""Mailchimp for optsync."""

from optsync_mailchimp.connector import Mailchimp

__all__ = ["Mailchimp"]
