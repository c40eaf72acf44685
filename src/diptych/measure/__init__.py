"""The hinge's instruments: statistics, timing, memory, energy, cost, machine."""
