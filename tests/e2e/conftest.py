"""The stack that the black-box tests share."""

from collections.abc import Iterator

import pytest

from tests.conftest import PrivateParts
from tests.e2e.fixtures import *  # noqa: F403 - pytest finds fixtures by name in a conftest
from tests.private import assert_private
from tests.stack import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack(private_parts: PrivateParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with running_stack(private_parts, tmp_path_factory.mktemp("logs")) as running:
        yield running
    assert_private(running)
