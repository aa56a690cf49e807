"""The account: what rows cost it, and what the response headers say about it."""

from dataclasses import dataclass
from typing import Literal

JobsPlan = Literal["pay_as_you_go", "included", "unlimited", "no_headers"]


@dataclass(frozen=True)
class Price:
    """The credits per row of a request, after a number of free rows, on a plan."""

    credits: int
    free: int = 0
    plan: JobsPlan = "pay_as_you_go"

    def of(self, rows: int) -> int:
        """The credits for a number of rows."""
        return max(rows - self.free, 0) * self.credits


@dataclass(kw_only=True, eq=False)
class Account:
    """Options of `Core`.

    Attributes:
        price: Credits per career site.
        empty_price: Credits for a page without rows.
        jobs_price: Credits per job.
        jobs_plan: `pay_as_you_go`; `included`, where `jobs_quota` rows are free and send only quota
            headers; `unlimited`, where all rows are free and only the balance is sent; or
            `no_headers`, which bills like `pay_as_you_go` without saying so.
        jobs_quota: Free rows of the plan `included`.
        jobs_quota_used: How many of them have been used.
        managed_sources: Whether the account may use the managed jobs feed. It also needs jobs.
        balance: Credits in the account.
    """

    price: int = 50
    empty_price: int = 0
    jobs_price: int = 3
    jobs_plan: JobsPlan = "pay_as_you_go"
    jobs_quota: int = 1_000
    jobs_quota_used: int = 0
    managed_sources: bool = True
    balance: int = 10_000_000

    @property
    def quota_left(self) -> int:
        """How many rows of the quota are left."""
        return self.jobs_quota - self.jobs_quota_used

    def charge(self, price: Price, rows: int) -> int:
        """Take the rows from the quota and the balance, and return the credits deducted."""
        self.jobs_quota_used += min(rows, price.free)
        deducted = price.of(rows) if rows or not price.credits else self.empty_price
        self.balance -= deducted
        return deducted

    def money_headers(
        self, plan: JobsPlan, *, required: int, deducted: int | None
    ) -> dict[str, str]:
        """Make the headers about credits and the quota, as far as the plan has them.

        Args:
            plan: The plan, after the charge.
            required: The credits that a full page would have cost.
            deducted: The credits deducted; None if the balance was too low.
        """
        if plan == "no_headers":
            return {}
        balance = {"X-Credits-Balance": str(self.balance)}
        debit = {"X-Credits-Deducted": str(deducted or 0), "X-Credits-Required": str(required)}
        if plan == "unlimited":
            return balance
        if plan == "pay_as_you_go":
            return debit | balance
        quota = {
            "X-Quota-Limit": str(self.jobs_quota),
            "X-Quota-Remaining": str(self.quota_left),
        }
        return quota | debit | balance if deducted != 0 else quota


def price_of_jobs(account: Account) -> Price:
    """Return what jobs cost an account now."""
    plan = account.jobs_plan
    return Price(
        0 if plan == "unlimited" else account.jobs_price,
        account.quota_left if plan == "included" else 0,
        plan,
    )
