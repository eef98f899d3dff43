from tests.cli.conftest import _logs_as_before, lonely

__all__ = ["_logs_as_before", "lonely"]
