"""What keeps the promise: lexicon, guard, the one egress, the ledger."""
