CASE_PICTURES = ["timeline", "steps"]
GRID_PICTURES = ["stage_times", "time_memory", "energy"]


rule plot_case:
    input:
        trace="results/traces/{case}.json",
    output:
        svg=[
            report(
                f"results/plots/{{case}}/{picture}.svg",
                caption=f"../report/{picture}.rst",
                category="Cases",
                labels={"case": "{case}", "picture": picture},
            )
            for picture in CASE_PICTURES
        ],
        png=expand("results/plots/{{case}}/{picture}.png", picture=CASE_PICTURES),
        words="results/plots/{case}/pictures.json",
    log:
        "logs/plots/{case}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        # It uses no GPU, but beside a case that is being measured it would disturb that.
        undisturbed=UNDISTURBED,
    params:
        expected=expected_of_case,
        limits=LIMITS,
        plot_digest=CASE_PLOT_DIGEST,
        env_digest=REPORT_ENV_DIGEST,
    script:
        "../scripts/plot_case.py"


rule plot_grid:
    input:
        cases="results/tables/cases.parquet",
        stages="results/tables/stages.parquet",
    output:
        svg=[
            report(
                f"results/plots/{picture}.svg",
                caption=f"../report/{picture}.rst",
                category="All cases",
                labels={"picture": picture},
            )
            for picture in GRID_PICTURES
        ],
        png=expand("results/plots/{picture}.png", picture=GRID_PICTURES),
        words="results/plots/pictures.json",
    log:
        "logs/plots.log",
    conda:
        "../../envs/report.yaml"
    params:
        alike_memory_pct=THRESHOLDS["no_effect_memory_pct"],
        alike_generation_pct=THRESHOLDS["alike_generation_pct"],
        report_digest=REPORT_DIGEST,
        env_digest=REPORT_ENV_DIGEST,
    script:
        "../scripts/plot_grid.py"
