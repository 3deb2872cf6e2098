"""Idempotency keys on a real database: one effect, the first answer again, attempts that can be resumed."""

from datetime import timedelta

import eventlet
import pytest
from sqlalchemy import func, select, update

from shared import idempotency
from shared.errors import Conflict, DomainError, Invalid, NotFound
from shared.idempotency import Attempt, fingerprint
from tests.conftest import PrivateParts, unique_name
from tests.integration.shared_tables import Effect, IdempotencyKey, create, transaction

ASKED = fingerprint("start", {"bike_id": "b"})


@pytest.fixture(scope="module")
def url(private_parts: PrivateParts) -> str:
    return create(private_parts)


@pytest.fixture
def subject() -> str:
    return unique_name("rider")


def begin(url: str, subject: str, resource_id: str, digest: str = ASKED, key: str = "k") -> Attempt:
    with transaction(url) as session:
        return idempotency.begin(session, IdempotencyKey, subject, key, digest, resource_id)


def keep(url: str, subject: str, answer: dict[str, str] | DomainError) -> None:
    with transaction(url) as session:
        if isinstance(answer, DomainError):
            idempotency.keep_error(session, IdempotencyKey, subject, "k", answer)
        else:
            idempotency.keep_result(session, IdempotencyKey, subject, "k", answer)


def age(url: str, subject: str, **by: float) -> None:
    """Let time pass for the record of `subject`."""
    with transaction(url) as session:
        mine = update(IdempotencyKey).where(IdempotencyKey.subject == subject)
        session.execute(
            mine.values(
                created_at=IdempotencyKey.created_at - timedelta(**by),
                leased_until=IdempotencyKey.leased_until - timedelta(**by),
            )
        )


def test_a_fingerprint_tells_requests_apart_and_not_the_order_of_fields() -> None:
    assert fingerprint("a", {"x": 1, "y": 2}) == fingerprint("a", {"y": 2, "x": 1})
    assert len({fingerprint("a", {"x": 1}), fingerprint("b", {"x": 1}), fingerprint("a", {"x": 2})}) == 3


def test_the_first_answer_is_given_again(url: str, subject: str) -> None:
    assert begin(url, subject, "r1") == Attempt("r1")
    keep(url, subject, {"id": "r1"})
    assert begin(url, subject, "r2") == Attempt("r1", {"id": "r1"})
    assert begin(url, subject, "r3") == Attempt("r1", {"id": "r1"})


def test_keys_and_subjects_are_separate(url: str, subject: str) -> None:
    begin(url, subject, "r1")
    assert begin(url, subject, "r2", key="other") == Attempt("r2")
    assert begin(url, subject + "x", "r3") == Attempt("r3")


def test_the_same_key_for_another_request_is_invalid_whatever_became_of_the_first(url: str, subject: str) -> None:
    begin(url, subject, "r1")
    for _ in range(2):
        with pytest.raises(Invalid) as caught:
            begin(url, subject, "r2", fingerprint("another"))
        assert "Idempotency-Key" in caught.value.errors
        keep(url, subject, {"id": "r1"})


def test_while_the_first_is_running_the_same_is_a_conflict_to_be_retried(url: str, subject: str) -> None:
    begin(url, subject, "r1")
    with pytest.raises(Conflict) as caught:
        begin(url, subject, "r2")
    assert caught.value.retry_after == 1
    assert not caught.value.replayed


def test_an_attempt_whose_lease_has_run_out_is_resumed_under_its_id(url: str, subject: str) -> None:
    begin(url, subject, "r1")
    age(url, subject, seconds=11)
    assert begin(url, subject, "r2") == Attempt("r1")
    # It has a lease of its own.
    with pytest.raises(Conflict):
        begin(url, subject, "r3")


def test_an_attempt_that_was_released_is_resumed_at_once_under_its_id(url: str, subject: str) -> None:
    begin(url, subject, "r1")
    with transaction(url) as session:
        idempotency.release(session, IdempotencyKey, subject, "k")
    assert begin(url, subject, "r2") == Attempt("r1")


def test_an_attempt_that_was_renamed_goes_on_under_its_new_id(url: str, subject: str) -> None:
    begin(url, subject, "r1")
    with transaction(url) as session:
        idempotency.rename(session, IdempotencyKey, subject, "k", "r9")
        idempotency.release(session, IdempotencyKey, subject, "k")
    assert begin(url, subject, "r2") == Attempt("r9")


def test_releasing_does_not_take_an_answer_back(url: str, subject: str) -> None:
    begin(url, subject, "r1")
    keep(url, subject, {"id": "r1"})
    with transaction(url) as session:
        idempotency.release(session, IdempotencyKey, subject, "k")
    assert begin(url, subject, "r2").answer == {"id": "r1"}


@pytest.mark.parametrize("kind", [NotFound, Conflict, Invalid])
def test_a_kept_refusal_is_raised_again_and_says_that_it_is_a_replay(
    kind: type[DomainError], url: str, subject: str
) -> None:
    begin(url, subject, "r1")
    keep(url, subject, kind("No.", {"errors": {"bike_id": ["Not there."]}}))
    for _ in range(2):
        with pytest.raises(kind) as caught:
            begin(url, subject, "r2")
        assert type(caught.value) is kind
        assert (caught.value.detail, caught.value.errors) == ("No.", {"bike_id": ["Not there."]})
        assert caught.value.replayed


def test_a_record_older_than_a_day_counts_as_new(url: str, subject: str) -> None:
    begin(url, subject, "r1")
    keep(url, subject, {"id": "r1"})
    age(url, subject, hours=23, minutes=59)
    assert begin(url, subject, "r2").answer == {"id": "r1"}
    age(url, subject, minutes=2)
    assert begin(url, subject, "r3", fingerprint("another")) == Attempt("r3")
    with pytest.raises(Conflict):
        begin(url, subject, "r4", fingerprint("another"))


def test_forgetting_leaves_what_is_younger_than_a_day(url: str, subject: str) -> None:
    for who in (subject, subject + "-young"):
        begin(url, who, "r1")
    age(url, subject, hours=25)
    with transaction(url) as session:
        idempotency.forget_old(session, IdempotencyKey)
        left = session.scalars(select(IdempotencyKey.subject).where(IdempotencyKey.subject.startswith(subject)))
        assert list(left) == [subject + "-young"]


def test_an_answer_that_was_rolled_back_with_its_effect_is_not_kept(url: str, subject: str) -> None:
    begin(url, subject, "r1")
    with transaction(url) as session:
        session.add(Effect(name=subject))
        idempotency.keep_result(session, IdempotencyKey, subject, "k", {"id": "r1"})
        session.rollback()
    with transaction(url) as session:
        idempotency.release(session, IdempotencyKey, subject, "k")
    assert begin(url, subject, "r2") == Attempt("r1")


def test_of_twenty_at_once_one_is_fresh_and_the_others_are_told_to_wait(url: str, subject: str) -> None:
    def attempt(number: int) -> Attempt | Conflict:
        try:
            return begin(url, subject, f"r{number}")
        except Conflict as error:
            return error

    outcomes = list(eventlet.GreenPool().imap(attempt, range(20)))
    attempts = [each for each in outcomes if isinstance(each, Attempt)]
    assert len(attempts) == 1
    assert attempts[0].answer is None
    with transaction(url) as session:
        kept = session.execute(select(func.count()).where(IdempotencyKey.subject == subject)).scalar_one()
        assert kept == 1


def test_of_twenty_that_work_at_once_the_effect_is_one(url: str, subject: str) -> None:
    def work(number: int) -> dict[str, str] | None:
        while True:
            try:
                attempt = begin(url, subject, f"r{number}")
            except Conflict:
                eventlet.sleep(0.01)
                continue
            if attempt.answer is not None:
                return attempt.answer
            with transaction(url) as session:
                # Its primary key lets no second effect pass.
                session.add(Effect(name=subject))
                answer = {"id": attempt.resource_id}
                idempotency.keep_result(session, IdempotencyKey, subject, "k", answer)
            return answer

    answers = list(eventlet.GreenPool().imap(work, range(20)))
    assert len({str(answer) for answer in answers}) == 1
