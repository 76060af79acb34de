"""Who allowed it, what was done: consent, ledger, permit, content gate, mark."""
