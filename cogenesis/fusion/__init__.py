"""The fusion variant: both models predict every token, a rule weighs them."""
