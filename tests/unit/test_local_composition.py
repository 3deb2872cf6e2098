import socket

import pytest

from infrastructure.local import composition, files, ports, settings, waiting
from infrastructure.local.composition import Composition
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.local.parts import Parts
from infrastructure.local.postgres import Postgres
from infrastructure.local.supervisor import ProgramState
from infrastructure.selection import Selection

SELECTION = Selection({"bike_service": 1, "gateway_service": 2})
PORTS = {"bike_service": 21000, "gateway_service": 22000}


@pytest.fixture
def layout(tmp_path) -> Layout:
    made = Layout(tmp_path)
    made.make()
    return made


def composed(selection: Selection = SELECTION, **environ: str) -> Composition:
    return Composition("1 boot:2", selection, settings.read(environ), PORTS)


def test_it_is_read_as_it_was_written(layout):
    assert composition.read(layout) is None
    written = composed(AMQP_URI="amqp://broker/")
    composition.write(layout, written)
    assert composition.read(layout) == written
    assert layout.composition.stat().st_mode & 0o777 == 0o600


def test_each_process_has_a_status_address():
    assert composed().metrics_urls() == {
        "BIKE_METRICS_URLS": "http://127.0.0.1:21000/metrics",
        "GATEWAY_METRICS_URLS": "http://127.0.0.1:22000/metrics,http://127.0.0.1:22001/metrics",
    }
    assert composed().status_addresses["gateway_service"] == "127.0.0.1:22000"


def test_only_databases_of_chosen_services_that_nothing_replaces_are_private():
    assert composed().private_databases() == ("bike_service",)
    assert composed(BIKE_DATABASE_URL="postgresql://h/b").private_databases() == ()
    assert composed(Selection({"gateway_service": 1})).private_databases() == ()
    assert composed(Selection(), BIKE_DATABASE_URL="postgresql://h/b").private_databases() == ("trip_service",)


def test_the_private_postgres_has_room_for_all_connections_of_all_processes(layout):
    many = Selection({"bike_service": 4, "trip_service": 4, "gateway_service": 3})
    assert composed(many).private_connections() == 8 * 36 + 20
    assert composed(many, TRIP_DATABASE_URL="postgresql://h/t").private_connections() == 4 * 36 + 20
    files.write_json(files.private_folder(layout.postgres) / "state.json", {"port": 1, "connections": 8 * 36 + 20})
    assert "max_connections=308" in Postgres(layout.postgres).command
    Parts(layout).check_room(composed(many))
    more = Selection({"bike_service": 5, "trip_service": 4})
    with pytest.raises(LocalError, match="may take 344 connections, and the running PostgreSQL has room for 308"):
        Parts(layout).check_room(composed(more))


def test_the_private_postgres_is_prepared_for_the_selection_or_for_some_more(layout, monkeypatch):
    prepared: list[int] = []
    monkeypatch.setattr(Postgres, "prepare", lambda _, roles, connections: prepared.append(connections))
    Parts(layout).prepare_postgres(composed(Selection({"bike_service": 4, "trip_service": 4})))
    Parts(layout).prepare_postgres(composed())
    assert prepared == [308, 200]


def test_status_ports_are_remembered_and_those_of_what_runs_stay(layout):
    chosen = composition.choose_ports(layout, SELECTION, {}, SELECTION.services)
    assert composition.choose_ports(layout, SELECTION, {}, SELECTION.services) == chosen
    both = SELECTION.including(Selection({"trip_service": 3}))
    with_trip = composition.choose_ports(layout, both, chosen, ["trip_service"])
    assert {name: with_trip[name] for name in chosen} == chosen
    runs = [set(range(with_trip[name], with_trip[name] + number)) for name, number in both.processes.items()]
    assert len(set.union(*runs)) == 6


def test_a_run_of_ports_has_no_taken_one():
    first = ports.choose_run(2, None, frozenset())
    with socket.create_server(("127.0.0.1", first + 1)):
        other = ports.choose_run(2, first, frozenset())
    assert other not in (first, first + 1)
    assert ports.choose_run(2, first, frozenset({first + 1})) != first
    assert ports.choose_run(2, first, frozenset()) == first


def test_every_process_and_every_private_part_that_was_started_is_waited_for():
    states = [
        ProgramState("rabbitmq", "STARTING", 1, ""),
        ProgramState("bike_service", "RUNNING", 2, ""),
        ProgramState("gateway_service_1", "RUNNING", 3, ""),
    ]
    assert waiting.waits_for(composed(), states) == ["rabbitmq", "gateway_service_0"]
    up = [ProgramState(name, "RUNNING", 1, "") for name in ("bike_service", "gateway_service_0", "gateway_service_1")]
    assert waiting.waits_for(composed(), up) == []
