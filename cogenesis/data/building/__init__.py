"""People who do not exist, their tasks and their texts: the four steps of the paper's data."""
