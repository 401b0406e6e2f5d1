import IO
import Logging

/// Logs one line per event on standard error: time, level, message, then key=value. What came from a peer is escaped, so
/// that nobody can forge a line or speak to a terminal.
struct LineLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    private let write: @Sendable (String) -> Void

    init(level: Logger.Level, write: @escaping @Sendable (String) -> Void = { StandardError.write($0) }) {
        logLevel = level
        self.write = write
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var pairs = event.metadata ?? [:]
        if !metadata.isEmpty { pairs.merge(metadata) { own, _ in own } }
        var line = SystemClock.timestamp(wallSeconds: SystemClock.wallSeconds)
        line += " " + event.level.rawValue + " "
        line += Self.plain("\(event.message)")
        for (key, value) in pairs.sorted(by: { $0.key < $1.key }) {
            line += " " + key + "="
            if case .string(let text) = value { line += Self.escaped(text) } else { line += Self.escaped("\(value)") }
        }
        write(line + "\n")
    }

    /// A value: bare where it is a plain word, otherwise in quotes with everything else than printable ASCII escaped.
    static func escaped(_ value: String) -> String {
        let isWord = !value.isEmpty && value.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != 0x22 && $0 != 0x5c }
        return isWord ? value : "\"\(plain(value))\""
    }

    private static func plain(_ value: String) -> String {
        guard !value.utf8.allSatisfy({ (0x20...0x7e).contains($0) && $0 != 0x22 && $0 != 0x5c }) else { return value }
        var text = ""
        for byte in value.utf8 {
            switch byte {
            case 0x22, 0x5c: text += "\\" + String(UnicodeScalar(byte))
            case 0x20...0x7e: text.unicodeScalars.append(UnicodeScalar(byte))
            default: text += byte < 16 ? "\\x0\(String(byte, radix: 16))" : "\\x\(String(byte, radix: 16))"
            }
        }
        return text
    }
}
