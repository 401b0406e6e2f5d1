"""What Tests/Interop/scale measured, as a table and as JSON: scale.py CELLS JSON

A cell is a line that begins with the number of sessions and what it is about: `dial` with the gateway's memory before, its
microseconds and the seconds that all took; `idle` with its memory after; `up` or `down` with the round, the gateway's
microseconds and the flows' result.
"""
import json
import statistics
import sys

BYTES_GOAL = 8192
RATIO_GOAL = 0.8
# Below that many sessions, a session's share of the gateway's memory says nothing.
FEW = 1000

numbers = {}
with open(sys.argv[1]) as lines:
    for line in lines:
        number, kind, rest = line.split(maxsplit=2)
        entry = numbers.setdefault(int(number), {"up": {}, "down": {}})
        if kind == "dial":
            entry["before"], entry["microseconds"], entry["seconds"] = map(float, rest.split())
        elif kind == "idle":
            entry["after"] = float(rest)
        else:
            round_number, microseconds, result = rest.split(maxsplit=2)
            entry[kind][round_number] = json.loads(result) | {"microseconds": float(microseconds)}


def rate(result):
    return result["bytes"] * 8 / result["seconds"] / 1e9


def text(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


columns = [
    "sessions", "all dialled in, s", "dial-ins per second", "gateway us per dial-in", "bytes for an idle one",
    "Gbit/s up", "down", "CPU s per GB up", "down", "rate to one session up", "down", "passed through", "failed flows",
]
first = numbers[min(numbers)]
table, records = [columns], []
for number, entry in numbers.items():
    record = {
        "sessions": number, "dialSeconds": entry["seconds"], "dialInsPerSecond": number / entry["seconds"],
        "microsecondsPerDialIn": entry["microseconds"] / number,
        "bytesPerSession": (entry["after"] - entry["before"]) / number if number >= FEW else None,
        "passedThrough": max(result["sessions"] for kind in ("up", "down") for result in entry[kind].values()),
        "failedFlows": sum(result["failed"] for kind in ("up", "down") for result in entry[kind].values()),
    }
    for kind in ("up", "down"):
        rounds = entry[kind]
        record[f"gigabitsPerSecond-{kind}"] = statistics.median(map(rate, rounds.values()))
        record[f"cpuSecondsPerGigabyte-{kind}"] = statistics.median(
            result["microseconds"] / 1e6 / (result["bytes"] / 1e9) for result in rounds.values())
        record[f"rateToOne-{kind}"] = statistics.median(rate(rounds[key]) / rate(first[kind][key]) for key in rounds)
    records.append(record)
    table.append([
        str(number), text(record["dialSeconds"], 1), text(record["dialInsPerSecond"], 0),
        text(record["microsecondsPerDialIn"], 0), text(record["bytesPerSession"], 0),
        *(text(record[f"{figure}-{kind}"], digits)
          for figure, digits in (("gigabitsPerSecond", 2), ("cpuSecondsPerGigabyte", 2), ("rateToOne", 2))
          for kind in ("up", "down")),
        str(record["passedThrough"]), str(record["failedFlows"]),
    ])
widths = [max(len(row[column]) for row in table) for column in range(len(columns))]
for row in table:
    print("  ".join(cell.rjust(width) for cell, width in zip(row, widths)))
print(f"goals with many: {BYTES_GOAL} bytes at most for an idle session, {RATIO_GOAL} of the rate of one")
with open(sys.argv[2], "w") as file:
    json.dump(records, file, indent=1)
print(f"written: {sys.argv[2]}")
