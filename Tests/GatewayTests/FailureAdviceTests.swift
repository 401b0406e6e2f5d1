import Foundation
import Testing

@testable import Gateway

@Suite("What is said about each reason")
struct FailureAdviceTests {
    private static func file(_ path: String) throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    @Test(
        "each has a sentence of its own, and says what to change on at least one side",
        arguments: FailureReason.allCases)
    func complete(reason: FailureReason) {
        let advice = reason.advice
        #expect(advice.sentence.hasSuffix(".") && advice.sentence.count > 15)
        #expect(FailureReason.allCases.filter { $0.advice.sentence == advice.sentence } == [reason])
        #expect(advice.gateway != nil || advice.client != nil)
        #expect(advice.symptoms.allSatisfy { !$0.text.isEmpty })
    }

    @Test("each configuration key that it names is one that there is", arguments: FailureReason.allCases)
    func keys(reason: FailureReason) throws {
        let example = try Self.file("deploy/examples/full.yaml")
        let words = (reason.advice.gateway ?? "").split(separator: "`", omittingEmptySubsequences: false)
        for (index, word) in words.enumerated() where index % 2 == 1 && !word.contains(" ") && word != "date" {
            for key in word.split(separator: ".") {
                #expect(example.contains("\(key):"), "\(reason): \(word)")
            }
        }
    }

    @Test("docs/failures.md says the same of it", arguments: FailureReason.allCases)
    func documented(reason: FailureReason) throws {
        let advice = reason.advice
        var sees: [String] = []
        let errors = advice.symptoms.compactMap { $0.error.map(String.init) }
        if !errors.isEmpty { sees.append("Windows " + errors.joined(separator: ", ")) }
        sees += advice.symptoms.filter { $0.error == nil }.map { "\($0.client.text): \"\($0.text)\"" }
        let cells = [
            "`\(reason.rawValue)`", advice.sentence, sees.joined(separator: "; "), advice.gateway ?? "",
            advice.client ?? "",
        ]
        let lines = try Self.file("docs/failures.md").split(separator: "\n")
        #expect(lines.contains("| \(cells.joined(separator: " | ")) |"), "\(cells)")
    }
}
