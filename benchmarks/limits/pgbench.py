"""pgbench of one statement: what the database alone does with it."""

import re
import subprocess
import tempfile
from urllib.parse import urlsplit

from benchmarks import environment
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Sample
from infrastructure.local.postgres import binaries

# The services have pools of 20 connections each; more clients do not make it faster.
CLIENTS = 20
DONE = re.compile(r"number of transactions actually processed: (\d+)")
FAILED = re.compile(r"number of failed transactions: (\d+)")
AVERAGE = re.compile(r"latency average = ([\d.]+) ms")
RATE = re.compile(r"tps = ([\d.]+)")

GET_BIKE = """\
\\set bike random(0, {last})
SELECT id, name, status, longitude, latitude, located_at, battery_percent, battery_at, vehicle_type_id, trip_id,
    rider_id, checked_out_at, revision, created_at, updated_at
FROM bikes WHERE id = md5('bike-' || :bike)::uuid;
"""


def run(url: str, script: str, seconds: float) -> Sample:
    """Run the script again and again as prepared statements. Raises BenchmarkError."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [
            str(binaries() / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", "--jobs=1",
            f"--time={max(round(seconds), 1)}", f"--file={file.name}", _without_password(url),
        ]  # fmt: skip
        variables = {**environment.clean(), "PGPASSWORD": urlsplit(url).password or ""}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"pgbench ended with code {done.returncode}: {done.stderr.strip()[-500:]}")
    return parse(done.stdout)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}").geturl()


def parse(output: str) -> Sample:
    """pgbench's report; the only latency that it knows is an average. Raises BenchmarkError for another text."""
    count, failed, average, rate = (pattern.search(output) for pattern in (DONE, FAILED, AVERAGE, RATE))
    if not (count and average and rate) or (failed and int(failed[1])):
        raise BenchmarkError(f"pgbench reports: {output.strip()[-500:]}")
    return Sample(int(count[1]), int(count[1]) / float(rate[1]))
