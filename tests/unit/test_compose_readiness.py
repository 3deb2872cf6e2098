"""Which containers are waited for, and when waiting ends."""

from collections.abc import Callable, Iterator

import pytest

from infrastructure.compose import engine, readiness
from infrastructure.compose.engine import Container
from infrastructure.compose.errors import ComposeError
from infrastructure.local.loopback import Health
from infrastructure.selection import Selection

BROKER = Container("x_rabbitmq_1", "rabbitmq", "running", "healthy", 0)
NAMES = frozenset({"rabbitmq", "gateway_service"})


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "POLL_S", 0)
    monkeypatch.setattr(engine, "log_tail", lambda name: f"log of {name}")


def gateway(state: str, health: str = "", restarts: int = 0) -> Container:
    return Container("x_gateway_1", "gateway_service", state, health, 1, restarts)


def looks(*found: list[Container]) -> Callable[[], list[Container]]:
    """What is seen, look by look; the test fails when it is looked more often."""
    following: Iterator[list[Container]] = iter(found)
    return lambda: next(following)


def none() -> Health | None:
    return None


def test_a_service_with_a_database_needs_that_and_its_migration() -> None:
    assert readiness.needed(Selection({"trip_service": 2, "gateway_service": 1})) == {
        "rabbitmq", "trip_service", "trip_postgres", "trip_migrate", "gateway_service",
    }  # fmt: skip


def test_it_waits_for_each_that_is_needed_and_no_other() -> None:
    other = Container("x_trip_1", "trip_service", "exited", "", 1)
    well = gateway("running", "healthy")
    look = looks([BROKER], [BROKER, gateway("running", "starting"), other], [BROKER, well, other])
    readiness.wait(NAMES, look, none)
    with pytest.raises(StopIteration):
        look()


def test_a_whole_stack_must_be_well_by_its_own_word() -> None:
    well = [BROKER, gateway("running", "healthy")]
    answers = iter([Health(False, "503"), Health(True, "200")])
    readiness.wait(NAMES, looks(well, well), lambda: next(answers))


def test_one_that_ends_again_and_again_is_not_waited_for() -> None:
    seen = [[BROKER, gateway("restarting", restarts=7 + number)] for number in range(4)]
    with pytest.raises(ComposeError, match=r"x_gateway_1 ends again and again(.|\n)*log of x_gateway_1"):
        readiness.wait(NAMES, looks(*seen), none)


def test_one_that_has_often_ended_before_is_given_its_time() -> None:
    readiness.wait(
        NAMES, looks([BROKER, gateway("restarting", restarts=7)], [BROKER, gateway("running", "healthy", 8)]), none
    )


def test_after_the_limit_it_says_what_is_ill_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "READY_LIMIT_S", -1.0)
    ill = Container("x_rabbitmq_1", "rabbitmq", "running", "unhealthy", 0)
    with pytest.raises(ComposeError, match=r"no container of gateway_service(.|\n)*x_rabbitmq_1: running.*unhealthy"):
        readiness.wait(NAMES, looks([ill]), none)
