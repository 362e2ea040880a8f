import pytest

# They assert, too, and should show what they saw.
pytest.register_assert_rewrite("tests.boot.first", "tests.boot.pi")
