# snakemake plan --config grid=FILE


# No output, so that it says every time what the grid needs as it is now.
rule plan:
    log:
        "logs/plan.log",
    conda:
        "../../envs/report.yaml"
    params:
        cases=list(CASES.values()),
    script:
        "../scripts/print_plan.py"
