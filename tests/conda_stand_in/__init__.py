"""A `conda` for tests on machines that can have none: real solving and linking by py-rattler, from a channel of ours.

`channel.py` makes the channel, `command.py` is the command, `installation.py` puts both where Snakemake looks.
What it does not prove: that conda-forge has the packages of `envs/` in these versions, that they work together, and how
the real conda downloads, links and activates them. Its packages are the ones that the tests run with: under their
true names and versions and with the dependencies that they declare, but each a set of links to where it is installed.
"""
