"""Images as arrays: checked, and what is compiled over them."""
