"""What rows cost, and what the response headers say about it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jobo_sandbox.ledger import Endpoint

if TYPE_CHECKING:
    from jobo_sandbox.core import Core

JobsPlan = Literal["pay_as_you_go", "included", "unlimited", "no_headers"]


@dataclass(frozen=True)
class Price:
    """The credits per row of a request, after a number of free rows."""

    credits: int
    free: int = 0

    def of(self, rows: int) -> int:
        """The credits for a number of rows."""
        return max(rows - self.free, 0) * self.credits


def price_now(core: "Core", endpoint: Endpoint) -> Price:
    """Return what rows of an endpoint cost at the moment."""
    if endpoint == "feed":
        return Price(core.price)
    if endpoint == "expired_jobs" or core.jobs_plan == "unlimited":
        return Price(0)
    included = core.jobs_plan == "included"
    return Price(core.jobs_price, core.jobs_quota - core.jobs_quota_used if included else 0)


def charge(core: "Core", price: Price, rows: int) -> int:
    """Take the rows from the quota and the balance, and return the credits deducted."""
    core.jobs_quota_used += min(rows, price.free)
    deducted = price.of(rows) if rows or not price.credits else core.empty_price
    core.balance -= deducted
    return deducted


def money_headers(
    core: "Core", endpoint: Endpoint, *, required: int, deducted: int | None
) -> dict[str, str]:
    """Make the headers about credits and the quota, as far as the plan has them.

    Args:
        core: The server, after the charge.
        endpoint: The endpoint.
        required: The credits that a full page would have cost.
        deducted: The credits deducted; None if the balance was too low.
    """
    plan: JobsPlan = "pay_as_you_go" if endpoint == "feed" else core.jobs_plan
    if endpoint == "expired_jobs" or plan == "no_headers":
        return {}
    balance = {"X-Credits-Balance": str(core.balance)}
    debit = {"X-Credits-Deducted": str(deducted or 0), "X-Credits-Required": str(required)}
    if plan == "unlimited":
        return balance
    if plan == "pay_as_you_go":
        return debit | balance
    quota = {
        "X-Quota-Limit": str(core.jobs_quota),
        "X-Quota-Remaining": str(core.jobs_quota - core.jobs_quota_used),
    }
    return quota | debit | balance if deducted != 0 else quota
