"""When a tunnel that waits for a person's answer tries again by itself."""

from __future__ import annotations

from math import inf

import pytest

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.retry_policy import (
    BLOCKED_DELAY,
    FailedAttempts,
    RetryPolicy,
    retry_after_attempt,
    retry_after_loss,
)

NONE = FailedAttempts()


@pytest.mark.parametrize("retry", [retry_after_attempt, retry_after_loss])
@pytest.mark.parametrize(
    ("source_failed", "policy", "at"),
    [
        (False, RetryPolicy(), inf),
        (True, RetryPolicy(max_attempts=1), 7 + BLOCKED_DELAY),
        (True, RetryPolicy(retries_blocked=False), inf),
        (True, RetryPolicy(retries=False), inf),
    ],
)
def test_only_a_source_that_failed_is_tried_again(
    retry: object, source_failed: bool, policy: RetryPolicy, at: float
) -> None:
    failure = Failure(
        Cause.ANSWER_NEEDED, "asks for a password", question="q1", source_failed=source_failed
    )
    assert callable(retry)
    result = retry(failure, NONE, 7.0, policy)
    assert (result.at, result.attempts, result.failure) == (at, NONE, failure)
