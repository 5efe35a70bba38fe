"""Which settings are best for one video on this machine: what to try next, and what is out."""
