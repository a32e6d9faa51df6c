"""What makes the tests of the core quick, whatever else the machine is doing."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """These models are so small that threads would only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_wait_for_the_disk(monkeypatch):
    """A file that is written is there for the next process, if not for the next power cut."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
