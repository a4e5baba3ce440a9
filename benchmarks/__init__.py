"""What is timed, against what: `python -m benchmarks`. The results stand in README.md."""
