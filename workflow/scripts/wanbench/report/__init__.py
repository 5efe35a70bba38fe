"""From traces to tables and a report. Imports neither torch nor diffusers."""
