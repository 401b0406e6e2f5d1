import FoundationEssentials

/// Refused dial-ins as people read them: one paragraph each, the newest first, wrapped to the terminal.
public enum FailureListing {
    private static let labelWidth = 14
    private static let widthDefault = 100
    private static let widthMinimum = 50
    /// The most offers that are written out; `--json` has them all.
    private static let offersMaximum = 8

    /// The lines.
    ///
    /// - Parameter width: The columns of the terminal; nil for none.
    public static func lines(_ failures: [FailureRecord], width: Int? = nil) -> [String] {
        guard !failures.isEmpty else {
            return [
                "No dial-in was refused. One that is missing here never reached the gateway: look at firewalls first."
            ]
        }
        let width = max(width ?? widthDefault, widthMinimum)
        return Array(failures.map { paragraph($0, width) }.joined(separator: [""]))
    }

    private static func paragraph(_ failure: FailureRecord, _ width: Int) -> [String] {
        var fields: [(label: String, text: String)] = [
            ("WHO", who(failure)), ("WHEN", when(failure)), ("STEP", failure.step.text),
            ("WHY", "\(failure.sentence) [\(failure.reason.rawValue)]"),
        ]
        if !failure.detail.isEmpty { fields.append(("DETAIL", failure.detail)) }
        for offer in failure.offers.prefix(offersMaximum) {
            let differs = offer.differs.keys.sorted().joined(separator: ", ")
            fields.append(("OFFERED", "\(offer.offer): not \(differs)"))
        }
        if failure.offers.count > offersMaximum {
            fields.append(("OFFERED", "and \(failure.offers.count - offersMaximum) more: see --json"))
        }
        for (attribute, values) in failure.accepts.sorted(by: { $0.key < $1.key }) where !values.isEmpty {
            fields.append(("ACCEPTED", "\(attribute): \(values.joined(separator: ", "))"))
        }
        for symptom in failure.symptoms {
            let error = symptom.error.map { "error \($0): " } ?? ""
            fields.append(("CLIENT SEES", "\(symptom.client.text): \(error)\(symptom.text)"))
        }
        for change in failure.changeAtGateway { fields.append(("CHANGE", "at the gateway: \(change)")) }
        for change in failure.changeAtClient { fields.append(("CHANGE", "at the client: \(change)")) }
        var last = ""
        return fields.flatMap { field in
            let label = field.label == last ? "" : field.label
            last = field.label
            return wrap(field.text, label: label, width)
        }
    }

    private static func who(_ failure: FailureRecord) -> String {
        var parts: [String] = []
        if !failure.user.isEmpty { parts.append("user \(failure.user)") }
        let endpoint = OperatorTables.outer(failure.outerAddress, failure.outerPort)
        parts.append(endpoint.isEmpty ? "an address that is no longer known" : endpoint)
        if !failure.identity.isEmpty { parts.append("calls itself \(failure.identity)") }
        if let client = failure.client { parts.append("a \(client.text) client") }
        if !failure.localAddress.isEmpty { parts.append("dialed \(failure.localAddress)") }
        return parts.joined(separator: ", ")
    }

    private static func when(_ failure: FailureRecord) -> String {
        let last = OperatorTables.time(failure.last)
        guard failure.count > 1 else { return last }
        return "\(last), \(failure.count) times since \(OperatorTables.time(failure.first))"
    }

    /// `text` behind its label, broken between words, and within one that is too long for a line.
    private static func wrap(_ text: String, label: String, _ width: Int) -> [String] {
        let room = width - labelWidth
        var lines: [String] = []
        var line = ""
        for word in TextTable.clean(text).split(separator: " ") {
            var word = Substring(word)
            if !line.isEmpty, line.count + 1 + word.count > room {
                lines.append(line)
                line = ""
            }
            while line.isEmpty, word.count > room {
                lines.append(String(word.prefix(room)))
                word = word.dropFirst(room)
            }
            line += line.isEmpty ? String(word) : " \(word)"
        }
        lines.append(line)
        return lines.enumerated().map { index, line in
            let head = index == 0 ? label : ""
            return head + String(repeating: " ", count: max(0, labelWidth - head.count)) + line
        }
    }
}
