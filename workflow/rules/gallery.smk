# Only for `snakemake --report`, which shows outputs: a case that fails makes no video, so its rule cannot promise one.


rule gallery:
    input:
        case_traces,
    output:
        report(
            directory("results/gallery"),
            patterns=["{case}.mp4"],
            caption="../report/video.rst",
            category="Videos",
            labels={"case": "{case}"},
        ),
    log:
        "logs/gallery.log",
    conda:
        "../../envs/report.yaml"
    params:
        report_digest=REPORT_DIGEST,
        env_digest=REPORT_ENV_DIGEST,
    script:
        "../scripts/collect_videos.py"
