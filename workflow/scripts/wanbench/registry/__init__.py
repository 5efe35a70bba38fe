"""Every fact that several rooms need, once."""
