import Glibc

/// A value in a table: as people read it, and as JSON has it.
enum Cell {
    case text(String)
    case number(Double, digits: Int)

    var plain: String {
        switch self {
        case .text(let text): text
        case .number(let number, let digits): Self.decimal(number, digits)
        }
    }

    var json: String {
        switch self {
        case .text(let text): "\"\(text)\""
        case .number: plain
        }
    }

    /// A number with that many digits behind the point.
    private static func decimal(_ number: Double, _ digits: Int) -> String {
        guard number.isFinite, abs(number) < 1e15 else { return "0" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = (number * scale).rounded()
        let whole = Int(abs(scaled) / scale)
        let rest = Int(abs(scaled)) - whole * Int(scale)
        let fraction = String(rest)
        let tail = digits == 0 ? "" : "." + String(repeating: "0", count: digits - fraction.count) + fraction
        return (scaled < 0 ? "-" : "") + "\(whole)" + tail
    }
}

/// Figures in rows: printed, and written as JSON for whoever compares two runs.
struct Table {
    let columns: [String]
    var rows: [[Cell]] = []

    /// Prints the rows under their columns.
    func show() {
        let cells = [columns] + rows.map { $0.map(\.plain) }
        let widths = columns.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        for row in cells {
            let padded = row.enumerated().map { column, text in
                let blanks = String(repeating: " ", count: widths[column] - text.count)
                return column == 0 ? text + blanks : blanks + text
            }
            print(padded.joined(separator: "  "))
        }
    }

    /// Writes the rows as an array of objects to `folder`/`name`.json.
    func write(_ name: String, to folder: String) {
        let objects = rows.map { row in
            "  {" + zip(columns, row).map { "\"\($0)\": \($1.json)" }.joined(separator: ", ") + "}"
        }
        let text = "[\n" + objects.joined(separator: ",\n") + "\n]\n"
        let path = "\(folder)/\(name).json"
        _ = mkdir(folder, 0o777)
        guard let file = fopen(path, "w") else { return print("culvert-bench: \(path) cannot be written") }
        defer { fclose(file) }
        guard fputs(text, file) >= 0 else { return print("culvert-bench: \(path) cannot be written") }
        print("written: \(path)")
    }
}
