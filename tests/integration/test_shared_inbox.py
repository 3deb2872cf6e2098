"""The inbox: an event is handled once, by each of its handlers."""

from datetime import UTC, datetime

import eventlet
import pytest
from sqlalchemy import delete, select

from shared import inbox
from tests.conftest import PrivateParts
from tests.integration.shared_tables import Inbox, create, transaction


@pytest.fixture(scope="module")
def database_url(private_parts: PrivateParts) -> str:
    return create(private_parts)


@pytest.fixture
def url(database_url: str) -> str:
    with transaction(database_url) as session:
        session.execute(delete(Inbox))
    return database_url


def test_an_event_counts_as_handled_once_for_each_handler(url: str) -> None:
    with transaction(url) as session:
        assert inbox.first_time(session, Inbox, "e1", "one")
        assert inbox.first_time(session, Inbox, "e1", "other")
        assert inbox.first_time(session, Inbox, "e2", "one")
        assert not inbox.first_time(session, Inbox, "e1", "one")
    with transaction(url) as session:
        assert not inbox.first_time(session, Inbox, "e1", "one")


def test_an_event_whose_effect_was_rolled_back_is_not_handled(url: str) -> None:
    with transaction(url) as session:
        assert inbox.first_time(session, Inbox, "e1", "one")
        session.rollback()
    with transaction(url) as session:
        assert inbox.first_time(session, Inbox, "e1", "one")


def test_of_concurrent_handlings_of_an_event_one_is_the_first(url: str) -> None:
    def handle(_: int) -> bool:
        with transaction(url) as session:
            first = inbox.first_time(session, Inbox, "e1", "one")
            eventlet.sleep(0)
            return first

    assert sorted(eventlet.GreenPool().imap(handle, range(10))) == [False] * 9 + [True]


def test_only_old_entries_of_the_inbox_are_forgotten(url: str) -> None:
    with transaction(url) as session:
        inbox.first_time(session, Inbox, "new", "one")
        session.add(Inbox(event_id="old", handler="one", handled_at=datetime(2020, 1, 1, tzinfo=UTC)))
    with transaction(url) as session:
        inbox.forget_old(session, Inbox)
    with transaction(url) as session:
        assert [row.event_id for row in session.scalars(select(Inbox))] == ["new"]
