"""Several siemlines that share one stream by a table of leases, seen as one."""

from collections import Counter

from forwarder import Forwarder
from lease_table import TABLE
from resharding import DRAIN_SECONDS, STREAM, Stream
from servers import wait_until


class Copies:
    """The copies, by name, and what they have delivered together. One that is to run is started."""

    def __init__(
        self, suite, directory, kinesis: str, dynamodb: str, failover_seconds: int, names: str,
        records_max: int = 10, options: str = "", tables: str = "",
    ):
        lease = f'create_table = true, failover = "{failover_seconds}s", endpoint_url = "{dynamodb}"'
        self.copies = []
        for name in names:
            place = directory / name
            place.mkdir()
            shared = f'lease_table = "{TABLE}"\n{options}'
            self.copies.append(Forwarder(suite.binary, place, kinesis, STREAM, records_max, shared, lease, tables))
        self.events = {}

    def delivered(self) -> dict:
        for copy in self.copies:
            self.events.update(copy.delivered())
        return self.events

    def duplicates(self) -> int:
        arrivals = Counter()
        for copy in self.copies:
            arrivals += copy.arrivals
        return sum(arrivals.values()) - len(arrivals)

    def dead_lettered(self) -> int:
        return sum(copy.dead_lettered() for copy in self.copies)

    def close(self):
        for copy in self.copies:
            copy.close()

    def awake(self) -> list:
        return [copy for copy in self.copies if copy.is_awake()]

    def is_anybody_alive(self) -> bool:
        return bool(self.awake())

    def is_alive(self, owner: str) -> bool:
        """Whether the owner of a lease is a process of these that runs: its id holds the name that it was started under."""
        return any(copy.is_awake() and f":{copy.host()}:" in owner for copy in self.copies)

    def wait_for_all(self, stream: Stream):
        wait_until("everything that was put", DRAIN_SECONDS, lambda: stream.put_ids() <= self.delivered().keys())
