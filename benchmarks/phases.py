"""Seconds of the named phases of something that is done repeatedly."""

import statistics
import time

import numpy as np


class Phases:
    """Collects the seconds of named phases, by the wall and of all cores."""

    def __init__(self):
        self.seconds = {}
        self.cpu_seconds = {}

    def time(self, name, function, *args, **kwargs):
        """Calls the function and adds its time to the phase."""
        start, cpu_start = time.perf_counter(), time.process_time()
        result = function(*args, **kwargs)
        seconds = time.perf_counter() - start
        cpu_seconds = time.process_time() - cpu_start
        self.seconds.setdefault(name, []).append(seconds)
        self.cpu_seconds.setdefault(name, []).append(cpu_seconds)
        return result

    def medians(self, name):
        """Median seconds of a phase: by the wall, of all cores together."""
        return np.array(
            [
                statistics.median(self.seconds[name]),
                statistics.median(self.cpu_seconds[name]),
            ]
        )

    def added(self, name, part):
        """Median seconds that a phase takes more than a part of it."""
        return np.array(
            [
                max(0.0, statistics.median(np.subtract(kind[name], kind[part])))
                for kind in (self.seconds, self.cpu_seconds)
            ]
        )
