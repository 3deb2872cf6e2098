"""What all who ride share: the doors, the counts, and the end."""

import threading
from dataclasses import dataclass

from replay.client import Gateway
from simulation.bikes import Fleet
from simulation.reports import Reports
from simulation.tally import Tally


@dataclass(frozen=True)
class City:
    """`closing`, once set, has everybody end their trip and leave."""

    gateway: Gateway
    tally: Tally
    reports: Reports
    fleet: Fleet
    closing: threading.Event

    def wait(self, seconds: float) -> bool:
        """Sleeps; False as soon as the city closes."""
        return not self.closing.wait(max(seconds, 0.0))
