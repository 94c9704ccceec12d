import threading
import time

import pytest

from keras_chex.algorithms import threads
from keras_chex.algorithms.threads import map_in_threads


@pytest.mark.parametrize("workers", [None, 1, 2, 5])
def test_results_stand_in_the_order_of_the_items(workers):
    items = [5, 3, 9, 1]
    found = map_in_threads(
        lambda item: 10 * item, items, weights=items, workers=workers
    )
    assert found == [50, 30, 90, 10]


def test_heavier_items_start_first(monkeypatch):
    pytest.importorskip("threadpoolctl")
    started = []
    both = threading.Barrier(2, timeout=10)

    def work(item):
        started.append(item)
        if item >= 8:
            both.wait()  # so that two workers are at work
        else:
            time.sleep(0.01)

    map_in_threads(work, [1, 8, 2, 9], weights=[1, 8, 2, 9], workers=2)
    assert set(started[:2]) == {8, 9}
    assert set(started[2:]) == {1, 2}


def test_without_threadpoolctl_items_are_worked_on_in_turn(monkeypatch):
    monkeypatch.setattr(threads, "_blas_limiter", lambda: None)
    names = map_in_threads(
        lambda item: threading.current_thread().name, [1, 2], [1, 2], workers=2
    )
    assert names == [threading.main_thread().name] * 2


def test_the_number_of_blas_threads_is_restored():
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def blas_threads():
        return [
            library["num_threads"]
            for library in threadpoolctl.threadpool_info()
            if library["user_api"] == "blas"
        ]

    before = blas_threads()
    inside = map_in_threads(lambda item: blas_threads(), [1], [1], workers=2)
    assert set(inside[0]) <= {1}
    assert blas_threads() == before


def test_an_error_in_a_thread_reaches_the_caller():
    def fail(item):
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="^item 3$"):
        map_in_threads(fail, [3], [1], workers=2)


def test_a_bad_number_of_workers_is_named():
    message = "^Argument `workers` must be at least 1. Received: workers=0$"
    with pytest.raises(ValueError, match=message):
        map_in_threads(abs, [1], [1], workers=0)
