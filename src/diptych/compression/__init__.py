"""From a trained model to a smaller one: torch in, torch out."""
