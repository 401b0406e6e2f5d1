import FoundationEssentials
import IKE
import Wire

/// A dial-in that came to nothing, as the control plane learns of it.
struct Failure {
    var reason: FailureReason
    var step: FailureStep
    /// Where the client is; nil where that is no longer known.
    var remote: Endpoint?
    /// Which address of ours it dialed.
    var local: IPAddress?
    var identity = ""
    var user = ""
    var client: FailedClientKind?
    var detail = ""
    var offers: [IKERefusedOffer] = []
    /// The rule of the policy whose methods the offers are not among; nil for the gateway's lists.
    var rule: String?
    /// Whether nothing has shown yet that the client receives at its address: anybody can make as many of these as he
    /// likes, from whichever address.
    var isStranger = false

    /// What makes two failures the same. A client's port changes with each dial-in of a NAT's.
    fileprivate var key: Key {
        Key(
            address: remote?.address, reason: reason, step: step, identity: Self.bounded(identity),
            user: Self.bounded(user))
    }

    fileprivate struct Key: Hashable {
        let address: IPAddress?
        let reason: FailureReason
        let step: FailureStep
        let identity: String
        let user: String
    }

    /// The most characters of a text that came from a peer.
    static let textMaximum = 200

    /// What a peer wrote, without what would steer a terminal, and no longer than is good.
    fileprivate static func bounded(_ text: String) -> String {
        let head = text.unicodeScalars.prefix(textMaximum + 1)
        let cleaned = TextTable.clean(String(String.UnicodeScalarView(head.prefix(textMaximum))))
        return head.count > textMaximum ? cleaned + "..." : cleaned
    }
}

/// The last refused dial-ins, the newest in front. The same client that fails for the same reason again is moved to the
/// front and counted; what is in the ring is bounded in all, for one address, and for those who have shown nothing.
struct FailureLog {
    /// The most records.
    static let recordsMaximum = 100
    /// The most records of clients that have not shown that they receive at their address: a flood of forged first
    /// messages takes no more than this from real failures.
    static let strangersMaximum = 20
    /// The most records of one outer address: whoever tries names and keys there washes out no others.
    static let recordsPerAddressMaximum = 25

    private struct Entry {
        let key: Failure.Key
        let isStranger: Bool
        var record: FailureRecord
    }

    private var entries: [Entry] = []
    private var lastIdentifier: UInt64 = 0

    /// The records, the newest first.
    var records: [FailureRecord] { entries.map(\.record) }

    /// Takes a failure in. Returns its record, with a count of 1 where it is new.
    @discardableResult
    mutating func note(_ failure: Failure, at date: Date) -> FailureRecord {
        let key = failure.key
        var record = record(of: failure, at: date)
        if let known = entries.firstIndex(where: { $0.key == key }) {
            let old = entries.remove(at: known).record
            (record.id, record.first, record.count) = (old.id, old.first, old.count + 1)
        } else {
            makeRoom(for: key.address, isStranger: failure.isStranger)
            lastIdentifier += 1
            record.id = lastIdentifier
        }
        entries.insert(Entry(key: key, isStranger: failure.isStranger, record: record), at: 0)
        return record
    }

    private mutating func makeRoom(for address: IPAddress?, isStranger: Bool) {
        if entries.count(where: { $0.key.address == address }) >= Self.recordsPerAddressMaximum {
            removeOldest { $0.key.address == address }
        }
        if isStranger, entries.count(where: \.isStranger) >= Self.strangersMaximum {
            // Who came back is more likely to be real than a forged address, which never does.
            if !removeOldest(where: { $0.isStranger && $0.record.count == 1 }) { removeOldest(where: \.isStranger) }
        }
        if entries.count >= Self.recordsMaximum { entries.removeLast() }
    }

    @discardableResult
    private mutating func removeOldest(where isMeant: (Entry) -> Bool) -> Bool {
        guard let index = entries.lastIndex(where: isMeant) else { return false }
        entries.remove(at: index)
        return true
    }

    private func record(of failure: Failure, at date: Date) -> FailureRecord {
        let advice = failure.reason.advice
        let known = advice.symptoms.filter { $0.client == failure.client }
        let offers = OfferAdvice(failure.offers, reason: failure.reason)
        return FailureRecord(
            id: 0, first: date, last: date, count: 1, outerAddress: failure.remote.map { "\($0.address)" } ?? "",
            outerPort: failure.remote?.port ?? 0, localAddress: failure.local.map { "\($0)" } ?? "",
            identity: Failure.bounded(failure.identity), user: Failure.bounded(failure.user), client: failure.client,
            step: failure.step, reason: failure.reason, sentence: advice.sentence,
            detail: Failure.bounded(failure.detail), offers: offers.records, accepts: offers.accepts,
            symptoms: known.isEmpty ? advice.symptoms : known,
            changeAtGateway: failure.rule.map { ["add one of its offers to the methods of rule \($0) of the policy"] }
                ?? offers.changes + (advice.gateway.map { [$0] } ?? []),
            changeAtClient: advice.client.map { [$0] } ?? [])
    }
}
