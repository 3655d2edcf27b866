#!/usr/bin/env python3
"""TensorBoard's own reader reads what the engine writes. The argument is the program test_report.

BATCHWISE_PYTHON names an interpreter that has tensorboard where this one has not; without either
the test is skipped (exit status 77).
"""
import math
import os
import subprocess
import sys
import tempfile

SKIPPED = 77


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(folder, size_guidance={"scalars": 0})
    events.Reload()
    tags = set(events.Tags()["scalars"])
    expected = {
        "noise/scale",
        "throughput/samples_per_second",
        "train/accuracy",
        "train/batch_size",
        "train/learning_rate",
        "train/loss",
        "validation/accuracy",
        "validation/loss",
    }
    assert tags == expected, tags ^ expected
    losses = events.Scalars("train/loss")
    assert [event.step for event in losses] == list(range(1, 201)), "steps of train/loss"
    for event in losses:
        assert event.value == 0.25 * event.step, event
        assert math.isclose(event.wall_time, event.step * 8.0 / 200.0), event
    assert [event.value for event in events.Scalars("validation/accuracy")] == [0.75]
    assert len(events.Scalars("noise/scale")) == 6
    print(f"tensorboard read {len(tags)} tags, {len(losses)} losses")


def main():
    try:
        import tensorboard.backend.event_processing.event_accumulator  # noqa: F401
    except ImportError as error:
        other = os.environ.pop("BATCHWISE_PYTHON", None)
        if other:
            return subprocess.run([other, *sys.argv]).returncode
        print(f"SKIPPED: {error}; pip install tensorboard, or name a Python that has it in "
              "BATCHWISE_PYTHON")
        return SKIPPED
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.argv[1], "--gtest_filter=TensorboardTest.WritesSamples", "--gtest_brief=1"],
            env={**os.environ, "BATCHWISE_SAMPLES": folder},
            check=True,
        )
        read(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
