import FoundationEssentials

/// The statistics as Prometheus and its likes read them: the text format, version 0.0.4.
enum StatisticsMetrics {
    static func text(_ record: StatisticsRecord) -> [UInt8] {
        var lines: [String] = []
        func add(_ name: String, _ kind: String, _ help: String, _ samples: [(label: String, value: UInt64)]) {
            lines.append("# HELP culvert_\(name) \(help)")
            lines.append("# TYPE culvert_\(name) \(kind)")
            for sample in samples { lines.append("culvert_\(name)\(sample.label) \(sample.value)") }
        }
        add("info", "gauge", "The version that runs.", [("{version=\"\(escaped(record.version))\"}", 1)])
        let since = UInt64(max(0, record.since.timeIntervalSince1970))
        add("start_time_seconds", "gauge", "When the gateway started.", [("", since)])
        for row in record.rows where row.group != "DROPPED" {
            let name = metric(row.group == "GATEWAY" ? row.title : row.name)
            add(
                row.isLevel ? name : name + "_total", row.isLevel ? "gauge" : "counter", "\(row.group), \(row.title).",
                [("", row.value)])
        }
        let drops = record.drops.sorted { $0.key < $1.key }
        add(
            "dropped_total", "counter", "What was dropped, by room and reason.",
            drops.map { ("{reason=\"\(escaped($0.key))\"}", $0.value) })
        return [UInt8]((lines.joined(separator: "\n") + "\n").utf8)
    }

    private static func metric(_ name: String) -> String {
        String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
