"""How to read the pictures. Without a plotting library, since the report's text needs it too."""

PICTURES = {
    "timeline": (
        "A case from `Model_Initialization` (or, where it was not reached, the start of the process) to the end of "
        "the process. In a step, loading stands in one piece where it began, and compilation after it. GPU activity "
        "and CPU are means since the sample before, and GPU activity may stand up to 0.17 s late; memory and power "
        "are of the instant, torch's peak of a whole stage. A gap of more than 0.35 s between samples is a gap. Of "
        "long cases some neighbouring samples are drawn as one: their mean, of memory the highest. What the kernel's "
        "ticks put above 100 % of the CPU is drawn at 100. What was not measured has no panel."
    ),
    "steps": (
        "Time of each step of a case that ran to its end: medians over the generations that count, with each of them "
        "as a mark where there are several, and the others (a warm-up, the cold first one beside warm ones, one left "
        "out) as open marks. The dashed line is s/step."
    ),
    "stage_times, energy": (
        "`Total_Execution` of each case by stage, with the rows of its stage table; further generations stand apart, "
        "and so does time in which weights moved within a stage outside the steps (its Loading and Offloading). "
        "Energy of stages too short for a figure is unaccounted."
    ),
    "time_memory": (
        "Time of one generation against peak memory, of cases that made the same video with different settings; the "
        "line joins those that no other settings beat in both."
    ),
}
