"""The imperative shell: observe, reconcile, apply."""
