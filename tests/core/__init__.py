"""Tests of the core of moe_lib: independent answers and properties, on tiny models."""
