"""The joint: lower a trained model to programs for a kind of hardware."""
