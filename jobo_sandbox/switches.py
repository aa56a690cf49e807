"""What can be set about the sandbox, before it starts or at any time while it runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from jobo_sandbox.ledger import Entry
from jobo_sandbox.limits import Limits
from jobo_sandbox.order import Order
from jobo_sandbox.replies import Shape


@dataclass(kw_only=True, eq=False)
class Switches:
    """The sandbox's options.

    Attributes:
        clock: Tells the time in Unix seconds.
        clock_offset: Seconds by which the sandbox's own clock is ahead of `clock`.
        order: In which order new scans deliver rows.
        price: Credits a row.
        balance: Credits in the wallet.
        rate_limits: Those of the feed; None for no limits and no headers about them.
        profile_rate_limits: Those of the profiles.
        latency: Seconds between every finished answer and its sending.
        error_shape: The shape of the bodies of errors.
        empty_every: Every so manieth page of a scan is empty, though there are more (from 2 on;
            0 for none).
        expire_cursors_after: Seconds that a cursor lives; None for ever.
        omit_credit_headers: Leave out the headers about money.
        omit_rate_headers: Leave out the headers about rate limits.
        omit_date_header: Leave out the `Date` header.
        before_page: Called with the ledger's entry before a page is built, in the server's
            thread; may change the world.
    """

    clock: Callable[[], float] = time.time
    clock_offset: float = 0
    order: Order = "id"
    price: int = 50
    balance: int = 10_000_000
    rate_limits: Limits | None = None
    profile_rate_limits: Limits | None = None
    latency: float = 0
    error_shape: Shape = "problem"
    empty_every: int = 0
    expire_cursors_after: float | None = None
    omit_credit_headers: bool = False
    omit_rate_headers: bool = False
    omit_date_header: bool = False
    before_page: Callable[[Entry], None] | None = None
