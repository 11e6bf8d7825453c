"""Programs that the benchmarks start as files in processes of their own, so that a peer's memory is its own."""
