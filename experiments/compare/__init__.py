"""The study: CHEX against what a user would pick instead, cell by cell."""
