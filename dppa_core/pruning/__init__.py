"""The paper's arithmetic on plain numbers: density, partitions, plans, rate tables."""
