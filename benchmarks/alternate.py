"""Times functions in turns, so that their ratios mean something.

The speed of a machine drifts by more than what two networks differ by. Every
round runs each function once, forwards and then backwards through the list,
and a ratio is the median of the ratios inside the rounds.
"""

import statistics
import time


def alternate(functions, rounds, warmup=2, clock=time.perf_counter):
    """Runs each function once per round.

    Args:
        functions: dict from a name to a function without arguments.
        rounds: int, timed rounds.
        warmup: int, rounds before them that are not timed; compiled functions
            are traced there.
        clock: function that returns seconds. `time.process_time` counts the
            work of all cores, which other programs disturb less.

    Returns:
        Dict from the name to a list of seconds, one for each round.

    Example:

    >>> times = alternate({"one": lambda: 1, "two": lambda: 2}, rounds=3)
    >>> {name: len(seconds) for name, seconds in times.items()}
    {'one': 3, 'two': 3}
    """
    for _ in range(warmup):
        for function in functions.values():
            function()
    seconds = {name: [] for name in functions}
    order = list(functions)
    for _ in range(rounds):
        for name in order:
            start = clock()
            functions[name]()
            seconds[name].append(clock() - start)
        order.reverse()
    return seconds


def median_ratio(seconds, reference):
    """Median over the rounds of the time as a share of another's time.

    >>> median_ratio([2.0, 8.0, 3.0], [4.0, 16.0, 5.0])
    0.5
    """
    return statistics.median(
        mine / other for mine, other in zip(seconds, reference, strict=True)
    )
