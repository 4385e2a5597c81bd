import itertools

import pytest

from client.session.backoff import backoff


def test_backoff_doubles_and_is_spread_by_a_fifth() -> None:
    assert list(itertools.islice(backoff(lambda: 0.0), 3)) == pytest.approx([0.4, 0.8, 1.6])
    assert list(itertools.islice(backoff(lambda: 1.0), 6)) == pytest.approx([0.6, 1.2, 2.4, 4.8, 9.6, 12.0])
