CASE_PICTURES = ["timeline", "steps"]
GRID_PICTURES = ["stage_times", "time_memory", "energy"]


rule plot_case:
    input:
        trace=trace,
    output:
        svg=[
            shown(f"{{folder}}/plots/{{case}}/{name}.svg", "Cases", case="{case}", picture=name)
            for name in CASE_PICTURES
        ],
        png=expand("{{folder}}/plots/{{case}}/{picture}.png", picture=CASE_PICTURES),
        words="{folder}/plots/{case}/pictures.json",
    log:
        "logs/{folder}/plots/{case}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        # It uses no GPU, but beside a case that is being measured it would disturb that.
        undisturbed=UNDISTURBED,
    params:
        **made_with("plot_case.py"),
        expected=expected_of_case,
        limits=LIMITS,
    script:
        "../scripts/plot_case.py"


rule plot_grid:
    input:
        cases="{folder}/tables/cases.parquet",
        stages="{folder}/tables/stages.parquet",
    output:
        svg=[shown(f"{{folder}}/plots/{name}.svg", "All cases", picture=name) for name in GRID_PICTURES],
        png=expand("{{folder}}/plots/{picture}.png", picture=GRID_PICTURES),
        words="{folder}/plots/pictures.json",
    log:
        "logs/{folder}/plots.log",
    conda:
        "../../envs/report.yaml"
    params:
        **made_with("plot_grid.py"),
        alike_memory_pct=THRESHOLDS["no_effect_memory_pct"],
        alike_generation_pct=THRESHOLDS["alike_generation_pct"],
    script:
        "../scripts/plot_grid.py"
