"""The soak: the real binary for hours under random faults, judged by who knows every value that was served."""
