"""What stays on the device: the private context, its readers, the prompt that holds it."""
