"""The cells that Tests/Interop/latency measured, as a table and as JSON: latency.py FOLDER JSON

FOLDER/cells has lines: variant, kind and round, then of echo requests the machine's jiffies before and after and the file with an
answer's microseconds a line; of dial-ins the file in which each says its seconds. FOLDER/iperf.VARIANT.KIND.ROUND.0 is what the
load moved.
"""
import json
import re
import statistics
import sys

folder = sys.argv[1]
GOAL_MILLISECONDS = 2.0  # of added latency, at the 95th percentile

asked, dialled = {}, {}
with open(f"{folder}/cells") as lines:
    for line in lines:
        variant, kind, round_number, *rest = line.split()
        if kind.startswith("dial-"):
            with open(rest[0]) as log:
                found = re.findall(r"1 clients are in, .* in ([0-9.]+) s|0 clients are in", log.read())
            times = [float(seconds) * 1000 if seconds else None for seconds in found]
            dialled.setdefault((variant, kind[5:]), []).append(times)
            continue
        all_before, idle_before, all_after, idle_after = map(int, rest[:4])
        with open(rest[4]) as file:
            answers = file.read().split()
        times = sorted(float(each) / 1000 for each in answers if each != "lost")
        cell = {
            "busy": 1 - (idle_after - idle_before) / (all_after - all_before), "lost": 1 - len(times) / len(answers),
            "times": times, "gigabits": None,
        }
        if kind != "idle":
            with open(f"{folder}/iperf.{variant}.{kind}.{round_number}.0") as file:
                cell["gigabits"] = json.load(file)["end"]["sum_received"]["bits_per_second"] / 1e9
        asked.setdefault((variant, kind), []).append(cell)


def percentile(times, share):
    return times[min(len(times) - 1, int(len(times) * share))] if times else float("nan")


def middle(cells, figure):
    return statistics.median(map(figure, cells))


columns = [
    "variant", "load", "Gbit/s", "machine busy", "median ms", "95th", "99th", "added: median", "95th", "99th", "lost",
    "dial-in ms: median", "longest", "failed",
]
table, records = [columns], []
for (variant, kind), cells in asked.items():
    idle = middle(asked[variant, "idle"], lambda cell: percentile(cell["times"], 0.5))
    shares = {share: middle(cells, lambda cell: percentile(cell["times"], share)) for share in (0.5, 0.95, 0.99)}
    dials = [each for times in dialled.get((variant, kind), []) for each in times]
    done = [each for each in dials if each is not None]
    record = {
        "variant": variant, "load": kind,
        "gigabitsPerSecond": None if kind == "idle" else middle(cells, lambda cell: cell["gigabits"]),
        "machineBusy": middle(cells, lambda cell: cell["busy"]),
        "milliseconds": {f"{share:g}": value for share, value in shares.items()},
        "addedMilliseconds": {f"{share:g}": value - idle for share, value in shares.items()},
        "lost": middle(cells, lambda cell: cell["lost"]),
        "dialInMilliseconds": statistics.median(done) if done else None,
        "dialInMillisecondsLongest": max(done, default=None),
        "dialInsFailed": len(dials) - len(done),
    }
    records.append(record)
    text = lambda value, digits: "-" if value is None else f"{value:.{digits}f}"
    table.append([
        variant, kind, text(record["gigabitsPerSecond"], 2), f"{record['machineBusy']:.0%}",
        *(text(value, 2) for value in shares.values()),
        *(text(None if kind == "idle" else value - idle, 2) for value in shares.values()),
        f"{record['lost']:.1%}", text(record["dialInMilliseconds"], 0), text(record["dialInMillisecondsLongest"], 0),
        str(record["dialInsFailed"]) if dials else "-",
    ])
widths = [max(len(row[column]) for row in table) for column in range(len(columns))]
for row in table:
    print("  ".join(
        cell.ljust(width) if column < 2 else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths))
    ))
print(f"the goal is {GOAL_MILLISECONDS:g} ms of added latency at the 95th percentile; added is what is above the median without load")
with open(sys.argv[2], "w") as file:
    json.dump(records, file, indent=1)
print(f"written: {sys.argv[2]}")
