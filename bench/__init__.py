"""Benchmarks against peers and limits; every figure comes with the other side's from the same run."""
