from snakemake.utils import min_version

min_version("9.27.1")


include: "workflow/rules/common.smk"


configfile: str(named_path(GRID_FILE))


report: "workflow/report/workflow.rst"


include: "workflow/rules/hooks.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/commands.smk"


# On a cluster, what takes seconds and no GPU is worth no job, and what is wrong is said where the run was started.
localrules:
    plan,
    predict,
    tabulate,
    report,
    page,
    outcome,
    compare,
    tune,


rule all:
    default_target: True
    input:
        CASE_TRACES,
        "results/report.md",
        "results/report.html",
        "results/outcome.json",
