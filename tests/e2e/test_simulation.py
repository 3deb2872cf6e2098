"""The city that moves, briefly, against the real company: what it says of itself, and what the company then has."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.client import Client, Stack, ok
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


def started(stack: Stack, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "simulation", *arguments],
        cwd=ROOT,
        env={**os.environ, "GATEWAY_URL": stack.gateway_url, "JWT_SECRET": stack.jwt_secret},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    try:
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    return said


def names(operator: Client, family: str) -> list[str]:
    found = [bike["name"] for page in operator.pages("/v1/bikes", limit=500) for bike in page]
    return [name for name in found if (name or "").startswith(family)]


def active(operator: Client, riders: str) -> list[Any]:
    trips = ok(operator.get("/v1/trips", status="active", limit=500), 200)["items"]
    return [trip for trip in trips if trip["rider_id"].startswith(riders)]


def test_a_short_load_ends_without_error_or_difference(stack: Stack, operator: Client) -> None:
    size = ["--bikes", "20", "--riders", "8", "--minutes", "0.15"]
    process = started(stack, "load", *size, "--speed", "60", "--seed", "e2e")
    said = finished(process)
    assert process.returncode == 0, said
    assert "No error, no difference." in said
    assert len(names(operator, "Simulated ")) == 20
    ended = [line.split("│")[2].strip() for line in said.splitlines() if "by the API: ended" in line]
    assert ended
    assert int(ended[0]) > 0
    assert active(operator, "simulated-") == []


def test_a_demo_moves_bikes_ends_its_trips_at_ctrl_c_and_finds_its_bikes_again(stack: Stack, operator: Client) -> None:
    def ride() -> str:
        process = started(stack, "demo", "--speed", "100")
        try:
            eventually(lambda: len(active(operator, "demo-")) > 5, timeout=60)
            eventually(
                lambda: [trip for trip in active(operator, "demo-") if (trip["distance_m"] or 0) > 0], timeout=60
            )
        finally:
            process.send_signal(signal.SIGINT)
        said = finished(process)
        assert process.returncode == 0, said
        assert "\x1b" not in said
        assert f"{stack.gateway_url}/map" in said
        assert "make token ROLE=operator" in said
        assert "Ended; 0 trips are left active." in said
        assert "no error" in said
        return said

    ride()
    fleet = names(operator, "ValleyBike "), names(operator, "Parked ")
    assert len(fleet[0]) > 40
    assert len(fleet[1]) > 300
    assert active(operator, "demo-") == []
    ride()
    assert (names(operator, "ValleyBike "), names(operator, "Parked ")) == fleet
