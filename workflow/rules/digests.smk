from wanbench.util.digests import code_digest, value_digest

# Snakemake sees neither imported modules nor the content of environment files: their digests are parameters.
MEASURE_DIGEST = code_digest(
    ROOT / "workflow/scripts",
    [
        "measure_case.py",
        "wanbench/cases/case.py",
        *(f"wanbench/{room}/**/*.{kind}" for room in ("util", "registry", "models", "telemetry", "measure") for kind in ("py", "json")),
        "wanbench/trace/writer.py",
    ],
)
REPORT_DIGEST = code_digest(
    ROOT / "workflow",
    [
        "schemas/trace.schema.json",
        "scripts/*.py",
        *(
            f"scripts/wanbench/{room}/**/*.{kind}"
            for room in ("util", "registry", "models", "cases", "trace", "estimate", "analysis", "findings", "compare", "report")
            for kind in ("py", "csv", "css", "js", "j2")
        ),
    ],
)
CASE_PLOT_DIGEST = code_digest(
    ROOT / "workflow",
    [
        "schemas/trace.schema.json",
        "scripts/plot_case.py",
        *(f"scripts/wanbench/{room}/**/*.py" for room in ("util", "registry", "models", "cases", "trace", "estimate", "analysis", "plots")),
    ],
)
MEASURE_ENV_DIGEST = value_digest(read_yaml(ROOT / "envs/measure.yaml"))
REPORT_ENV_DIGEST = value_digest(read_yaml(ROOT / "envs/report.yaml"))
