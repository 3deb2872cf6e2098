import pytest

from simulation import arguments
from simulation.__main__ import main


def test_what_is_not_given_has_a_default() -> None:
    demo = arguments.read(["demo"])
    assert (demo.speed, demo.minutes, demo.mqtt, demo.gateway) == (10.0, None, None, None)
    load = arguments.read(["load"])
    assert (load.bikes, load.riders, load.minutes, load.speed) == (200, 50, 5.0, 1.0)
    assert load.seed != arguments.read(["load"]).seed


def test_what_is_given_is_taken() -> None:
    size = ["--bikes", "2000", "--riders", "300", "--minutes", "0.5", "--speed", "2", "--seed", "x"]
    given = [*size, "--mqtt", "[::1]:1883", "--gateway", "http://h"]
    load = arguments.read(["load", *given])
    assert (load.bikes, load.riders, load.minutes, load.seed, load.speed) == (2000, 300, 0.5, "x", 2.0)
    assert (load.mqtt, load.gateway) == (("::1", 1883), "http://h")
    assert arguments.address("broker.example:8883") == ("broker.example", 8883)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--bikes", "0", "BIKES must be a whole number from 1 to 100,000, not '0'"),
        ("--bikes", "many", "BIKES must be"),
        ("--riders", "2001", "RIDERS must be a whole number from 1 to 2,000"),
        ("--minutes", "nan", "MINUTES must be a number over 0"),
        ("--minutes", "-1", "MINUTES must be"),
        ("--speed", "inf", "SPEED must be a number over 0, 1,000 at most"),
        ("--seed", "", "SEED must have 1 to 100 characters"),
        ("--mqtt", "broker", "MQTT must be host:port, not 'broker'"),
        ("--mqtt", ":1883", "MQTT must be host:port"),
        ("--mqtt", "h:70000", "MQTT names port 70000"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments.read(["load", f"{option}={value}"])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environ", "argv", "said"),
    [
        ({"STACK_ENV": "/nowhere"}, [], "error: GATEWAY_URL and JWT_SECRET neither in the environment"),
        ({"JWT_SECRET": "s" * 32}, ["--gateway", "h:1"], "error: the gateway's address 'h:1' is no URL"),
        ({"JWT_SECRET": "short"}, ["--gateway", "http://h"], "error: JWT_SECRET is shorter than 32 bytes"),
    ],
)
def test_a_load_on_nothing_says_so(
    environ: dict[str, str],
    argv: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("GATEWAY_URL", "JWT_SECRET", "STACK_ENV"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert main(["load", *argv]) == 2
    assert capsys.readouterr().err.startswith(said)
