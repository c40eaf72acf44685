"""The right panel: read a bundle, run its programs, predict; numpy and one runtime only."""
