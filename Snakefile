from snakemake.utils import min_version

min_version("9.27.1")


include: "workflow/rules/common.smk"


configfile: str(named_path(GRID_FILE))


report: "workflow/report/workflow.rst"


include: "workflow/rules/digests.smk"
include: "workflow/rules/hooks.smk"
include: "workflow/rules/scheduling.smk"
include: "workflow/rules/checkpoint.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/tabulate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/gallery.smk"
include: "workflow/rules/plots.smk"
include: "workflow/rules/kept_traces.smk"
include: "workflow/rules/reference.smk"
include: "workflow/rules/compare.smk"


rule all:
    default_target: True
    input:
        expand("results/traces/{case}.json", case=CASES),
        "results/report.md",
        "results/report.html",
        "results/outcome.json",
