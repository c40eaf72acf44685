"""The hinge's foundation: errors, values, files, seeds; numpy and msgspec only."""
