from wanbench.digests import code_digest, value_digest

# Snakemake sees neither imported modules nor the content of environment files: their digests are parameters.
MEASURE_DIGEST = code_digest(
    ROOT / "workflow/scripts",
    [
        "measure_case.py",
        "wanbench/counter.py",
        "wanbench/models.py",
        "wanbench/named_files.py",
        "wanbench/redact.py",
        "wanbench/text.py",
        "wanbench/cases/case.py",
        # Not trace/verdict.py: the report makes a verdict of its own from the trace's figures.
        "wanbench/trace/clock_events.py",
        "wanbench/trace/energy_counter.py",
        "wanbench/trace/names.py",
        "wanbench/trace/writer.py",
        "wanbench/measure/**/*.py",
        "wanbench/measure/**/*.json",
    ],
)
REPORT_DIGEST = code_digest(
    ROOT / "workflow",
    [
        "schemas/trace.schema.json",
        "scripts/tabulate_traces.py",
        "scripts/write_report.py",
        "scripts/write_page.py",
        "scripts/collect_videos.py",
        "scripts/check_outcome.py",
        "scripts/compare_runs.py",
        "scripts/check_comparison.py",
        "scripts/plot_grid.py",
        "scripts/wanbench/counter.py",
        "scripts/wanbench/faults.py",
        "scripts/wanbench/models.py",
        "scripts/wanbench/memory.py",
        "scripts/wanbench/parallel.py",
        "scripts/wanbench/redact.py",
        "scripts/wanbench/rule_log.py",
        "scripts/wanbench/text.py",
        "scripts/wanbench/cases/case.py",
        "scripts/wanbench/trace/*.py",
        "scripts/wanbench/report/**/*.py",
        "scripts/wanbench/report/templates/*",
        "scripts/wanbench/report/published_figures.csv",
    ],
)
# Apart from the rest of the report's code, whose edits need not draw every case again.
CASE_PLOT_DIGEST = code_digest(
    ROOT / "workflow",
    [
        "schemas/trace.schema.json",
        "scripts/plot_case.py",
        "scripts/wanbench/counter.py",
        "scripts/wanbench/models.py",
        "scripts/wanbench/text.py",
        "scripts/wanbench/trace/*.py",
        "scripts/wanbench/report/collect.py",
        "scripts/wanbench/report/figures.py",
        "scripts/wanbench/report/generations.py",
        "scripts/wanbench/report/judged.py",
        "scripts/wanbench/report/plots/*.py",
        "scripts/wanbench/report/sums.py",
        "scripts/wanbench/report/uncompiled.py",
    ],
)
MEASURE_ENV_DIGEST = value_digest(read_yaml(ROOT / "envs/measure.yaml"))
REPORT_ENV_DIGEST = value_digest(read_yaml(ROOT / "envs/report.yaml"))
