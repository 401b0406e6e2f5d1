"""The cells that Tests/Interop/throughput measured, as a table and as JSON: throughput.py CELLS JSON [BEFORE]

BEFORE is the JSON of another run, to compare with: of a gateway before a change, say.

A cell is a line: variant, kind, clients, round, microseconds of the gateway, its inner packets, and the file in which iperf3's
results are, that of each client with a number behind its name.
"""
import glob
import json
import statistics
import sys

GOALS = {"gcm": 0.75, "cbc": 0.5}  # of the throughput without cryptography
PEER_SHARE = 1 / 20  # of the peer's processor time for a byte

cells = {}
variants = []
with open(sys.argv[1]) as lines:
    for line in lines:
        variant, kind, clients, round_number, *figures = line.split()
        microseconds, packets = map(float, figures[:2])
        received = []
        for name in glob.glob(figures[2] + ".*"):
            with open(name) as file:
                received.append(json.load(file)["end"]["sum_received"])
        count = sum(each["bytes"] for each in received)
        seconds = max(each["seconds"] for each in received)
        if variant not in variants:
            variants.append(variant)
        cells.setdefault((kind, int(clients)), {}).setdefault(variant, {})[round_number] = {
            "gigabits": count * 8 / seconds / 1e9,
            "nanoseconds": microseconds * 1000 / packets if packets else None,
            "seconds": microseconds / 1e6 / (count / 1e9),
        }


def median(rounds, figure):
    values = [cell[figure] for cell in rounds.values() if cell[figure] is not None]
    return statistics.median(values) if values else None


def ratio(rounds, others, figure):
    """The median of the ratios within each round."""
    return statistics.median(rounds[number][figure] / others[number][figure] for number in rounds)


def text(value, digits):
    return "-" if value is None else f"{value:.{digits}f}"


columns = ["kind", "clients", "variant", "Gbit/s", "gateway ns per packet", "gateway CPU s per GB"]
compares = [name for name in ("null", "peer") if name in variants]
columns += [{"null": "throughput to null", "peer": "CPU per GB to peer"}[name] for name in compares]
before = {}
if len(sys.argv) > 3:
    with open(sys.argv[3]) as file:
        before = {(record["kind"], record["clients"], record["variant"]): record for record in json.load(file)}
    columns += ["throughput to before", "CPU per GB to before"]
table, records = [columns], []
for (kind, clients), measured in cells.items():
    for variant in variants:
        rounds = measured[variant]
        record = {
            "kind": kind, "clients": clients, "variant": variant,
            "gigabitsPerSecond": median(rounds, "gigabits"),
            "nanosecondsPerPacket": median(rounds, "nanoseconds"),
            "cpuSecondsPerGigabyte": median(rounds, "seconds"),
        }
        row = [
            kind, str(clients), variant, text(record["gigabitsPerSecond"], 2),
            text(record["nanosecondsPerPacket"], 0), text(record["cpuSecondsPerGigabyte"], 3),
        ]
        for name in compares:
            figure = "gigabits" if name == "null" else "seconds"
            value = None if variant == name else ratio(rounds, measured[name], figure)
            record["throughputToNull" if name == "null" else "cpuToPeer"] = value
            row.append(text(value, 2 if name == "null" else 4))
        if before:
            past = before.get((kind, clients, variant))
            for figure in ("gigabitsPerSecond", "cpuSecondsPerGigabyte"):
                row.append(text(past and record[figure] / past[figure], 2))
        table.append(row)
        records.append(record)

widths = [max(len(row[column]) for row in table) for column in range(len(columns))]
for row in table:
    print("  ".join(
        cell.ljust(width) if column < 3 else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths))
    ))
for variant, goal in GOALS.items():
    values = [r["throughputToNull"] for r in records if r["variant"] == variant and "tcp" in r["kind"] and r.get("throughputToNull")]
    if values:
        print(f"{variant}, TCP: {statistics.median(values):.2f} of the throughput without cryptography; the goal is {goal}")
for variant in variants:
    values = [r["cpuToPeer"] for r in records if r["variant"] == variant and r.get("cpuToPeer")]
    if values:
        print(f"{variant}: 1/{1 / statistics.median(values):.1f} of the peer's processor time for a gigabyte; the goal is 1/{1 / PEER_SHARE:.0f}")
with open(sys.argv[2], "w") as file:
    json.dump(records, file, indent=1)
print(f"written: {sys.argv[2]}")
