"""The left panel: networks, objectives, the loop."""
