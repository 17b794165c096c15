"""Edge cases: conditions that are injected on purpose, with the proof that they really were."""
