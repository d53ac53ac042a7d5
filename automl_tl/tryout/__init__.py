"""A trained model on one page of this machine: drop a picture, see what the model says and why."""
