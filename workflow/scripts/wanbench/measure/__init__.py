"""Measure one case. Imports torch and diffusers in the measuring process only, and never pandas."""
