"""The stack that the black-box tests share: one of their own, or one that runs already."""

import os
from collections.abc import Iterator

import pytest

from tests.e2e.client import Stack
from tests.e2e.fixtures import *  # noqa: F403 - pytest finds fixtures by name in a conftest
from tests.e2e.given_stack import given_stack
from tests.private import assert_private
from tests.stack import running_stack


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    given = given_stack(os.environ)
    if given:
        yield given
        return
    with running_stack(request.getfixturevalue("private_parts"), tmp_path_factory.mktemp("logs")) as running:
        yield running
    assert_private(running)
