"""What has to hold of measured numbers: on which machines, and whether it does."""

from test_benchmarks import part

from benchmarks import report


def test_goals_are_judged_by_the_median():
    goal = report.GOALS[0]
    parts = {"wrn-22-2": part(report.SPEED_UP, "ours", 1.7, 1.9, 9.0)}
    assert report.judged(goal, {"parts": parts}) == ("1.90 ×", "3", "yes")
    parts = {"wrn-22-2": part(report.SPEED_UP, "ours", 1.7, 1.7, 9.0)}
    assert report.judged(goal, {"parts": parts}) == ("1.70 ×", "3", "no")
    assert report.judged(goal, {"parts": {}}) == ("–", "0", "not measured")
    packed = next(goal for goal in report.GOALS if goal.subject is None)
    parts = {"packing": part(packed.quantity, "8 on streams", 80.0, unit="s")}
    assert report.judged(packed, {"parts": parts}) == ("1.33 min (8 on streams)", "1", "yes")


def test_a_goal_is_of_a_device_or_of_a_precision(tmp_path):
    """What bfloat16 gains is asked of processors that have it, and masking of all processors."""
    contents = [{"device": "cpu", "hardware": f"A, 2 cores, {kind}", "parts": {}} for kind in ("bf16", "fp32")]
    contents.append({"device": "cuda", "hardware": "B, 1 GPU", "parts": {}})
    asked = {goal.text: [c["hardware"] for c in contents if report.meant(goal, c)] for goal in report.GOALS}
    assert list(asked.values())[:3] == [
        ["A, 2 cores, bf16"],
        ["A, 2 cores, fp32"],
        ["A, 2 cores, bf16", "A, 2 cores, fp32"],
    ]
    assert set(map(tuple, list(asked.values())[4:])) == {("B, 1 GPU",)}
