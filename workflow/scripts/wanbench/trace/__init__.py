"""The trace: the one file that joins the measure wing and the report wing."""
