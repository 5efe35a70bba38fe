"""Tables in Markdown."""

from wanbench.report.layout import markdown_table


def test_a_column_is_as_wide_as_its_name_or_its_longest_cell_and_numbers_stand_to_the_right() -> None:
    rows = [{"Case": "a", "Time (s)": "1.00"}, {"Case": "of a long name", "Time (s)": "123456789012.00"}]
    assert markdown_table(rows, ("Case",)).splitlines() == [
        "| Case           |        Time (s) |",
        "|:---------------|----------------:|",
        "| a              |            1.00 |",
        "| of a long name | 123456789012.00 |",
    ]
    assert markdown_table([{"Case": "", "s": ""}], ("Case",)).splitlines() == [
        "| Case   |   s |",
        "|:-------|----:|",
        "|        |     |",
    ]
