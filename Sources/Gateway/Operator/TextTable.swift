/// Text in aligned columns, for a terminal.
enum TextTable {
    /// How a column stands.
    enum Alignment { case left, right }

    /// A header line and one line per row, columns two blanks apart, no blanks at line ends.
    static func lines(_ columns: [(title: String, alignment: Alignment)], _ rows: [[String]]) -> [String] {
        let rows = rows.map { $0.map(clean) }
        let widths = columns.indices.map { column in
            rows.reduce(columns[column].title.count) { max($0, column < $1.count ? $1[column].count : 0) }
        }
        return ([columns.map(\.title)] + rows).map { row in
            let cells = row.enumerated().map { column, cell -> String in
                guard column < widths.count else { return cell }
                let padding = String(repeating: " ", count: max(0, widths[column] - cell.count))
                return columns[column].alignment == .left ? cell + padding : padding + cell
            }
            return trimmedAtEnd(cells.joined(separator: "  "))
        }
    }

    /// One `name  value` line per pair.
    static func pairs(_ pairs: [(String, String)]) -> [String] {
        let width = pairs.reduce(0) { max($0, $1.0.count) }
        return pairs.map { trimmedAtEnd($0.0 + String(repeating: " ", count: width - $0.0.count + 2) + clean($0.1)) }
    }

    /// 1234567 as `1.2 MB`: powers of 1000, as network people count.
    static func bytes(_ count: UInt64) -> String {
        guard count >= 1000 else { return "\(count) B" }
        var tenths = count / 100
        for unit in ["kB", "MB", "GB", "TB", "PB", "EB"] {
            if tenths < 10_000 || unit == "EB" { return "\(tenths / 10).\(tenths % 10) \(unit)" }
            tenths /= 1000
        }
        return "\(count) B"
    }

    /// What a client chose for a name must not steer the operator's terminal.
    static func clean(_ cell: String) -> String {
        String(
            String.UnicodeScalarView(
                cell.unicodeScalars.map {
                    $0.value < 0x20 || (0x7F...0x9F).contains($0.value) || (0x202A...0x202E).contains($0.value)
                        || (0x2066...0x2069).contains($0.value) ? "?" : $0
                }))
    }

    private static func trimmedAtEnd(_ text: String) -> String {
        var rest = Substring(text)
        while rest.last == " " { rest.removeLast() }
        return String(rest)
    }
}
