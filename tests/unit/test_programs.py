import configparser
import shlex

import pytest

from infrastructure import programs
from infrastructure.programs import Target
from infrastructure.selection import Selection, SelectionError

TWO_GATEWAYS = Selection({"bike_service": 1, "gateway_service": 2})
ODD_COMMAND = ("/a folder/py thon", "50%", "x #y", "; z", "it's #1", "#")


def rendered(selection: Selection, target: Target) -> configparser.RawConfigParser:
    """As supervisord reads it: comments within a line are cut off."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=True)
    parser.read_string(programs.render(selection, target))
    return parser


def test_only_the_chosen_services_are_rendered():
    parser = rendered(Selection({"trip_service": 1}), Target(["python"]))
    assert parser.sections() == ["program:trip_service"]
    assert parser["program:trip_service"]["command"] == "python trip_service"


def test_one_process_keeps_its_services_name_and_listens_itself():
    parser = rendered(Selection(), Target(["python"], "/var/log"))
    assert parser.sections() == ["program:bike_service", "program:trip_service", "program:gateway_service"]
    for section in parser.sections():
        assert parser[section]["numprocs"] == "1"
        assert parser[section]["process_name"] == "%(program_name)s"
        assert parser[section]["stdout_logfile"] == "/var/log/%(program_name)s.log"
        assert "socket" not in parser[section]
        assert "GATEWAY_SOCKET_FD" not in parser[section]["environment"]


def test_several_processes_are_numbered_and_several_gateways_share_a_socket():
    target = Target(["python"], "/var/log", "localhost:8000", {"bike_service": "h:1", "gateway_service": "h:2"})
    parser = rendered(TWO_GATEWAYS, target)
    gateway = parser["fcgi-program:gateway_service"]
    assert gateway["numprocs"] == "2"
    assert gateway["process_name"] == "%(program_name)s_%(process_num)d"
    assert gateway["stdout_logfile"] == "/var/log/%(program_name)s_%(process_num)d.log"
    assert gateway["socket"] == "tcp://localhost:8000"
    assert gateway["environment"] == ('PROCESS_NUMBER="%(process_num)d",METRICS_ADDRESS="h:2",GATEWAY_SOCKET_FD="0"')
    assert programs.process_names("gateway_service", 2) == ["gateway_service_0", "gateway_service_1"]


def test_several_processes_of_another_service_need_no_socket():
    section = rendered(Selection({"bike_service": 3}), Target(["python"]))["program:bike_service"]
    assert section["numprocs"] == "3"
    assert "socket" not in section


def test_infrastructure_starts_first_and_the_gateway_last():
    parser = rendered(Selection(), Target(["python"]))
    priorities = [int(parser[section]["priority"]) for section in parser.sections()]
    assert priorities == sorted(priorities)
    assert priorities[0] > 20


def test_in_a_container_the_programs_log_to_its_standard_output():
    section = rendered(Selection({"bike_service": 1}), Target(["python"]))["program:bike_service"]
    assert section["stdout_logfile"] == "/dev/fd/1"
    assert section["stdout_logfile_maxbytes"] == "0"
    assert section["redirect_stderr"] == "true"


def test_blanks_percent_signs_and_comment_signs_of_a_command_come_through():
    section = rendered(Selection({"bike_service": 1}), Target(ODD_COMMAND))["program:bike_service"]
    # what supervisord does with it: expands, then splits
    assert shlex.split(section["command"] % {}) == [*ODD_COMMAND, "bike_service"]


@pytest.mark.parametrize("address", ["[::1]:8000", "8000", "host:0", "host:65536", "a b:8000"])
def test_an_address_that_supervisord_cannot_share_is_refused(address):
    with pytest.raises(SelectionError, match="GATEWAY_ADDRESS must be host:port"):
        programs.render(TWO_GATEWAYS, Target(["python"], gateway_address=address))


def test_status_ports_follow_each_other():
    found = programs.consecutive(
        Selection({"bike_service": 2, "trip_service": 1, "gateway_service": 2}), "0.0.0.0:9100"
    )
    assert found == {
        "bike_service": "0.0.0.0:9100",
        "trip_service": "0.0.0.0:9102",
        "gateway_service": "0.0.0.0:9103",
    }


def test_the_command_line_takes_the_environment_and_writes_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SERVICES", "bike")
    monkeypatch.setenv("PROCESSES", "bike=2")
    monkeypatch.setenv("METRICS_ADDRESS", "0.0.0.0:9100")
    assert programs.main([str(tmp_path / "programs.conf")]) == 0
    written = (tmp_path / "programs.conf").read_text()
    assert "-m shared.run bike_service" in written
    assert programs.main([]) == 0
    assert capsys.readouterr().out == written
    assert 'METRICS_ADDRESS="0.0.0.0:9100"' in written


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("SERVICES", "scooter", "bike, trip, gateway"), ("METRICS_ADDRESS", "9100", "METRICS_ADDRESS must be host:port")],
)
def test_the_command_line_names_what_is_wrong(name, value, says, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    assert programs.main([]) == 2
    assert says in capsys.readouterr().err
    assert programs.main(["--help"]) == 2
