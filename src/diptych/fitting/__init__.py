"""One search under a budget: candidates, verdicts, the ledger."""
