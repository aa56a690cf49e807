from jobo_sandbox import Sandbox

from .helpers import CAREER_SITES, EXPIRED, JOBS, MANAGED, Clock, get, page, post


def test_headers_tell_of_the_tightest_window() -> None:
    clock = Clock(1_760_000_000.25)
    with Sandbox(size=1, clock=clock, rate_limits=[(3, 60), (4, 3_600)]) as sandbox:
        headers = post(sandbox, {}).headers
        assert headers["X-RateLimit-Limit"] == "3"
        assert headers["X-RateLimit-Remaining"] == "2"
        assert headers["X-RateLimit-Reset"] == "1760000061"
        assert headers["X-RateLimit-Group"] == "feed"
        clock.now += 61
        page(sandbox)
        # Two of the hour's four are gone, and one of the minute's three: both have two left.
        clock.now += 1
        headers = post(sandbox, {}).headers
        assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("3", "1")
        clock.now += 60
        headers = post(sandbox, {}).headers
        assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("4", "0")
        assert headers["X-RateLimit-Reset"] == "1760003601"


def test_too_many_requests_get_429_and_when_to_come_back() -> None:
    clock = Clock()
    with Sandbox(size=5, clock=clock, rate_limits=[(2, 10)]) as sandbox:
        page(sandbox)
        clock.now += 3.5
        page(sandbox)
        refused = post(sandbox, {})
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "7"
        assert refused.json()["retry_after_seconds"] == 7
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert sandbox.rows_billed == 10
        # A refused request is not counted, so one is free as soon as the first has left.
        clock.now += 6.25
        assert post(sandbox, {}).headers["Retry-After"] == "1"
        clock.now += 0.25
        page(sandbox)
        assert post(sandbox, {}).status_code == 429


def test_feeds_share_a_limit_and_filter_values_that_of_profiles() -> None:
    limits = [(4, 60)]
    with Sandbox(size=1, jobs=4, rate_limits=limits, profile_rate_limits=limits) as sandbox:
        paths = (JOBS, EXPIRED, CAREER_SITES, MANAGED, JOBS, EXPIRED)
        answers = [get(sandbox, p) if p == EXPIRED else post(sandbox, {}, path=p) for p in paths]
        assert [answer.status_code == 429 for answer in answers] == [False] * 4 + [True] * 2
        assert {answer.headers["X-RateLimit-Group"] for answer in answers} == {"feed"}
        values = get(sandbox, "/api/connectors/filters")
        assert values.headers["X-RateLimit-Group"] == "general"
        assert values.headers["X-RateLimit-Remaining"] == "3"
