"""Measure one case. Imports torch and diffusers in the processes of a case only, and never pandas."""
