"""Which requests meet which faults."""

from dataclasses import dataclass
from threading import Lock

from jobo_sandbox.faults import Fault
from jobo_sandbox.ledger import Endpoint, Entry


@dataclass
class _Queued:
    fault: Fault
    on: int
    endpoint: Endpoint | None
    company_id: str | None
    left: float

    def meets(self, entry: Entry) -> bool:
        number = entry.number if self.endpoint is None else entry.endpoint_number
        return (
            self.left > 0
            and number >= self.on
            and self.endpoint in {None, entry.endpoint}
            and self.company_id in {None, entry.company_id}
            and (self.fault.reject_cursor is None or entry.cursor is not None)
        )


class Faults:
    """The faults to come. Safe to use from several threads."""

    def __init__(self) -> None:
        self._queue: list[_Queued] = []
        self._lock = Lock()

    def add(
        self,
        fault: Fault,
        *,
        on: int | None = None,
        endpoint: Endpoint | None = None,
        company_id: str | None = None,
    ) -> None:
        """Plan a fault. A request meets one fault at most: of those that fit, the oldest.

        Args:
            fault: What shall happen.
            on: From which request on: 1 is the first ever to `endpoint`, or to the API if no
                endpoint is given. The next one if None.
            endpoint: Only requests to this endpoint.
            company_id: Only requests for the profile of this company.
        """
        left = float("inf") if fault.times is None else fault.times
        with self._lock:
            self._queue.append(_Queued(fault, on or 1, endpoint, company_id, left))

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._queue.clear()

    def take(self, entry: Entry) -> Fault | None:
        """The fault that this request meets."""
        with self._lock:
            for queued in self._queue:
                if queued.meets(entry):
                    queued.left -= 1
                    return queued.fault
        return None
