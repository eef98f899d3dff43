"""Bitrix24 (cloud and self-hosted) as a CRM of optsync."""

from optsync_bitrix24.connector import Bitrix24

__all__ = ["Bitrix24"]
