"""Tools that know nothing of Wan."""
