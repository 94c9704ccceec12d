"""The result table: means over seeds and ratios to the first contender."""

from experiments.common.table import results_table

DENSE = {
    "accuracy": 0.98,
    "flops": 3_000_000,
    "params": 200_000,
    "tflite_bytes": 800_000,
    "latency_ms": 0.5,
    "train_seconds": 40.0,
}
SMALL = {
    "accuracy": 0.975,
    "flops": 1_490_000,
    "params": 90_000,
    "tflite_bytes": 400_000,
    "latency_ms": 0.3,
    "train_seconds": 30.0,
}


def lines(results):
    table = results_table(results).splitlines()
    return {line[:24].strip(): line[24:].split() for line in table}


def test_one_seed_shows_values_and_ratios():
    table = lines({"dense": [DENSE], "CHEX": [SMALL]})
    assert table[""] == ["dense", "CHEX"]
    assert table["test accuracy"] == ["98.00", "%", "97.50", "%"]
    assert table["FLOPs (multiply-adds)"] == [
        "3.000",
        "M",
        "1.490",
        "M",
        "(0.497)",
    ]
    assert table["LiteRT latency, 1 thread"][-1] == "(0.600)"
    assert table["parameters"] == ["200,000", "90,000", "(0.450)"]


def test_several_seeds_show_means_and_the_spread_of_the_accuracy():
    better = {**DENSE, "accuracy": 0.99, "train_seconds": 50.0}
    table = lines({"dense": [DENSE, better]})
    assert table["test accuracy"] == ["98.50", "±", "0.71", "%"]
    assert table["training time"] == ["45", "s"]


def test_columns_are_aligned():
    table = results_table({"dense": [DENSE], "CHEX": [SMALL], "slim": [SMALL]})
    ends = {len(line) for line in table.splitlines()}
    assert len(ends) == 1
