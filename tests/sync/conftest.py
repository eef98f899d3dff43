from tests.migrated import migrations

__all__ = ["migrations"]
