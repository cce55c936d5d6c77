"""The one error a person who runs the benchmarks should ever see."""


class BenchmarkError(Exception):
    """Something is missing or makes no sense; the message says what, and what to do next."""
