import Foundation
import Testing

/// The arrows of ARCHITECTURE.md: which room may import what.
struct Arrows {
    /// What a room may import.
    enum Permission {
        /// These modules and no others.
        case only(Set<String>)
        /// Whatever it likes, these rooms excepted.
        case anythingBut(Set<String>)
    }

    static let protocols: Set<String> = ["IKE", "ESP", "L2TP", "PPP", "Accounts"]

    static let permissions: [String: Permission] = [
        "Wire": .only([]),
        "Cryptography": .only(["Wire", "COpenSSL", "CIPsecMB", "Synchronization"]),
        "IKE": .only(["Wire", "Cryptography", "Synchronization"]),
        "ESP": .only(["Wire", "Cryptography", "CZlib", "Synchronization"]),
        "L2TP": .only(["Wire", "Cryptography", "Synchronization"]),
        "PPP": .only(["Wire", "Cryptography", "Synchronization"]),
        "Accounts": .only(["Wire", "Cryptography", "Synchronization"]),
        "IO": .anythingBut(protocols.union(["Gateway", "culvert", "Foundation"])),
        "Gateway": .anythingBut(["culvert", "Glibc", "Musl", "Foundation"]),
        "culvert": .only(["Gateway", "ArgumentParser", "FoundationEssentials", "Glibc", "Musl", "Logging"]),
    ]

    /// What is wrong with the imports of `source`, a file of `room`.
    static func violations(in source: String, room: String) -> [String] {
        guard let permission = permissions[room] else { return ["\(room) is a room without arrows"] }
        return imports(of: source).compactMap { module in
            let isLegal =
                switch permission {
                case .only(let modules): modules.contains(module)
                case .anythingBut(let modules): !modules.contains(module)
                }
            return isLegal ? nil : "\(room) imports \(module)"
        }
    }

    /// The modules that a file imports, in whichever of Swift's ways: with attributes, with an access level, by kind, of a
    /// submodule, several on a line.
    static func imports(of source: String) -> [String] {
        let kinds: Set<String> = ["typealias", "struct", "class", "enum", "protocol", "actor", "let", "var", "func"]
        let levels: Set<String> = ["public", "package", "internal", "fileprivate", "private"]
        return withoutComments(source).split(whereSeparator: { $0.isNewline || $0 == ";" }).compactMap { statement in
            var words = statement.split(whereSeparator: \.isWhitespace)[...]
            while let word = words.first, word.hasPrefix("@") || levels.contains(String(word)) { words.removeFirst() }
            guard words.popFirst() == "import" else { return nil }
            if let kind = words.first, kinds.contains(String(kind)) { words.removeFirst() }
            return words.first.flatMap { $0.split(separator: ".").first }.map(String.init)
        }
    }

    private static func withoutComments(_ source: String) -> String {
        var result = ""
        var rest = Substring(source)
        while let start = rest.firstRange(of: "/*") {
            result += rest[..<start.lowerBound] + "\n"
            rest = rest[start.upperBound...].firstRange(of: "*/").map { rest[$0.upperBound...] } ?? ""
        }
        result += rest
        return result.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.firstRange(of: "//").map { line[..<$0.lowerBound] } ?? line
        }.joined(separator: "\n")
    }
}

@Suite("The arrows between the rooms")
struct ArchitectureTests {
    private static let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Sources")

    private static func swiftFiles(in directory: URL) -> [URL] {
        let walk = FileManager.default.enumerator(at: directory, includingPropertiesForKeys: nil)
        return (walk?.allObjects as? [URL] ?? []).filter { $0.pathExtension == "swift" }
    }

    @Test("every room imports only what its arrows allow")
    func rooms() throws {
        let rooms = try FileManager.default.contentsOfDirectory(at: Self.sources, includingPropertiesForKeys: nil)
        var checked: Set<String> = []
        for room in rooms {
            for file in Self.swiftFiles(in: room) {
                let source = try String(contentsOf: file, encoding: .utf8)
                #expect(Arrows.violations(in: source, room: room.lastPathComponent) == [], "\(file.path)")
                checked.insert(room.lastPathComponent)
            }
        }
        // The test must not pass because it looked in the wrong place.
        #expect(
            checked.isSuperset(of: [
                "Wire", "Cryptography", "IKE", "ESP", "L2TP", "PPP", "Accounts", "Gateway", "culvert",
            ]))
    }

    @Test(
        "a planted violation is found",
        arguments: [
            ("IKE", "import Foundation"), ("ESP", "import Wire\nimport IO"), ("L2TP", "import PPP"),
            ("PPP", "import Glibc"), ("Accounts", "import Dispatch"), ("Wire", "import Synchronization"),
            ("Cryptography", "import Foundation"), ("IO", "import IKE"), ("Gateway", "import culvert"),
            ("Gateway", "import Glibc"),
            ("culvert", "import IO"), ("IKE", "@testable import L2TP"), ("IKE", "internal import struct IO.Socket"),
            ("IKE", "@_spi(Internals) public import Glibc"), ("IKE", "import Wire; import IO"),
            ("IKE", "#if canImport(Musl)\n    import Musl\n#endif"), ("IKE", "/* a reason */ import Foundation.NSDate"),
            ("Radius", "import Wire"),
        ])
    func planted(room: String, source: String) {
        #expect(Arrows.violations(in: source, room: room).count == 1)
    }

    @Test(
        "what the arrows allow is not reported",
        arguments: [
            ("IKE", "import Wire\nimport Cryptography\nimport Synchronization"), ("Gateway", "import IO\nimport IKE"),
            ("culvert", "import Gateway"), ("IO", "import Glibc\nimport Wire"), ("Cryptography", "import COpenSSL"),
            ("Wire", "// import Foundation\n/* import IO */\nlet important = 1"),
            ("IKE", "let text = \"import IO\""),
        ])
    func legal(room: String, source: String) {
        #expect(Arrows.violations(in: source, room: room) == [])
    }
}
