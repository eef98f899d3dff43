from tests.cli.conftest import _logs_as_before, lonely
from tests.migrated import migrations

__all__ = ["_logs_as_before", "lonely", "migrations"]
