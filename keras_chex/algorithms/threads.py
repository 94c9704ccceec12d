"""Runs independent pieces of linear algebra side by side."""

import concurrent.futures
import os


def map_in_threads(function, items, weights, workers=None):
    """Returns `[function(item) for item in items]`, computed in threads.

    Many matrices of moderate size are decomposed fastest with one thread per
    matrix. BLAS libraries start threads of their own for each call, which
    then wait for each other: an exploration step of ResNet-50 on two cores
    took 2.7 s so, and 1.8 s with BLAS held to one thread. `threadpoolctl`
    does that where it is installed; without it, and with `workers=1`, the
    items are worked on one after the other with the threads of BLAS.

    Args:
        function: callable of one item.
        items: list.
        weights: list of numbers, one per item; heavier items start first.
        workers: int, number of threads; by default one per core.

    Returns:
        List of results, in the order of `items`.

    Raises:
        ValueError: If `workers` is below 1.

    Example:

    >>> map_in_threads(abs, [-3, 2], weights=[1, 2])
    [3, 2]
    """
    if workers is None:
        workers = os.cpu_count() or 1
    if workers < 1:
        raise ValueError(
            "Argument `workers` must be at least 1. "
            f"Received: workers={workers}"
        )
    hold_blas = _blas_limiter()
    if workers == 1 or hold_blas is None:
        return [function(item) for item in items]
    order = sorted(range(len(items)), key=lambda index: -weights[index])
    with (
        hold_blas(1, user_api="blas"),
        concurrent.futures.ThreadPoolExecutor(workers) as pool,
    ):
        futures = {i: pool.submit(function, items[i]) for i in order}
        return [futures[i].result() for i in range(len(items))]


def _blas_limiter():
    """Returns `threadpoolctl.threadpool_limits`, or `None` without it."""
    try:
        import threadpoolctl
    except ImportError:
        return None
    return threadpoolctl.threadpool_limits
