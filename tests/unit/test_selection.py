import pytest

from infrastructure.selection import Selection, SelectionError, read, wanted


@pytest.mark.parametrize(
    ("services", "processes", "expected"),
    [
        ("", "", {"bike_service": 1, "trip_service": 1, "gateway_service": 1}),
        ("gateway bike", "", {"bike_service": 1, "gateway_service": 1}),
        ("gateway_service,bike", "gateway=2", {"bike_service": 1, "gateway_service": 2}),
        ("", "trip=3, bike=1", {"bike_service": 1, "trip_service": 3, "gateway_service": 1}),
        (" trip  trip_service ", "trip_service=32", {"trip_service": 32}),
    ],
)
def test_a_selection_names_services_and_their_processes_in_the_order_of_starting(services, processes, expected):
    found = read({"SERVICES": services, "PROCESSES": processes})
    assert list(found.processes.items()) == list(expected.items())


@pytest.mark.parametrize(
    ("services", "processes", "says"),
    [
        ("gateway scooter", "", r"SERVICES.*'scooter'.*bike, trip, gateway"),
        ("Bike", "", "'Bike'"),
        ("", "scooter=2", r"PROCESSES.*'scooter'.*bike, trip, gateway"),
        ("", "gateway", r'PROCESSES must be like "gateway=2'),
        ("", "gateway=0", "1 to 32"),
        ("", "gateway=33", "1 to 32"),
        ("", "gateway=-1", "1 to 32"),
        ("", "gateway=²", "1 to 32"),
        ("bike", "trip=2", "trip, which SERVICES leaves out"),
    ],
)
def test_an_unknown_name_or_number_is_refused_with_what_there_is(services, processes, says):
    with pytest.raises(SelectionError, match=says):
        read({"SERVICES": services, "PROCESSES": processes})


def test_only_services_with_data_need_a_database():
    assert read({"SERVICES": "gateway trip"}).databases == ("trip_service",)
    assert Selection({"gateway_service": 1}).databases == ()


def test_a_selection_can_be_added_to_another():
    both = Selection({"bike_service": 2, "gateway_service": 1}).including(
        Selection({"trip_service": 1, "bike_service": 1})
    )
    assert list(both.processes.items()) == [("bike_service", 1), ("trip_service", 1), ("gateway_service", 1)]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"SERVICES": "trip"}, {"bike_service": 1, "trip_service": 1, "gateway_service": 2}),
        ({}, {"bike_service": 1, "trip_service": 1, "gateway_service": 2}),
        ({"SERVICES": "gateway bike"}, {"bike_service": 1, "gateway_service": 2}),
        ({"SERVICES": "gateway", "PROCESSES": "gateway=1"}, {"bike_service": 1, "gateway_service": 1}),
        ({"PROCESSES": "trip=3"}, {"bike_service": 1, "trip_service": 3, "gateway_service": 2}),
    ],
)
def test_what_runs_stays_and_keeps_its_number_unless_that_is_named(environ, expected):
    assert dict(wanted(Selection({"bike_service": 1, "gateway_service": 2}), environ).processes) == expected
