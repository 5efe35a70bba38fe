"""From a grid file to the list of cases."""
