"""Settings of all tests."""

from hypothesis import settings

# The first call of an operation of PyTorch may take longer than all others; and a test that fails must fail again.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
