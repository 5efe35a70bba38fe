"""The report's pictures. Drawing functions take what was measured and give figures; only `picture.save` writes."""
