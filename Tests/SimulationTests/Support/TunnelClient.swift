import Wire

/// L2TP as a client speaks it (RFC 2661): one tunnel, one session, everything sent again each second until it is
/// acknowledged.
struct TunnelClient {
    enum Stage { case waitingForSCCRP, waitingForICRP, connected, ended }

    private(set) var stage = Stage.waitingForSCCRP
    let tunnelID: Int
    let sessionID: Int
    private(set) var serverTunnel = 0
    private(set) var serverSession = 0
    /// Ignores HELLO without a word, as Android 9 does.
    var ignoresHello = false
    private(set) var heardCDN = false
    private(set) var heardStopCCN = false
    var outbox: [[UInt8]] = []
    private(set) var nextDeadline: Instant?
    private var (ns, nr) = (0, 0)
    private var unacknowledged: [(ns: Int, session: Int, body: [UInt8])] = []
    private var retransmissions = 0

    init(tunnelID: Int, sessionID: Int) { (self.tunnelID, self.sessionID) = (tunnelID, sessionID) }

    private static func avp(_ type: Int, _ value: [UInt8]) -> [UInt8] {
        be16(0x8000 | 6 + value.count) + [0, 0] + be16(type) + value
    }

    mutating func start(now: Instant) {
        send(
            Self.avp(0, be16(1)) + Self.avp(2, [1, 0]) + Self.avp(3, be32(3)) + Self.avp(7, Array("client".utf8))
                + Self.avp(9, be16(tunnelID)) + Self.avp(10, be16(4)), now: now)
    }

    mutating func hangUp(now: Instant) {
        if stage == .connected {
            send(
                Self.avp(0, be16(14)) + Self.avp(1, be16(3)) + Self.avp(14, be16(sessionID)), session: serverSession,
                now: now)
        }
        if serverTunnel != 0 {
            send(Self.avp(0, be16(4)) + Self.avp(9, be16(tunnelID)) + Self.avp(1, be16(1)), now: now)
        }
        stage = .ended
        nextDeadline = nil
    }

    mutating func handleTimeout(now: Instant) {
        guard let due = nextDeadline, due <= now else { return }
        retransmissions += 1
        guard retransmissions <= 20 else {
            (stage, nextDeadline) = (.ended, nil)
            return
        }
        nextDeadline = unacknowledged.isEmpty ? nil : now + .seconds(1)
        for message in unacknowledged { emit(message.ns, message.session, message.body) }
    }

    /// A control message for us.
    mutating func receive(_ bytes: [UInt8], now: Instant) {
        guard bytes.count >= 12, number(bytes[4..<6]) == tunnelID else { return }
        let (theirNs, theirNr) = (number(bytes[8..<10]), number(bytes[10..<12]))
        let count = unacknowledged.count
        unacknowledged.removeAll { Int16(truncatingIfNeeded: $0.ns - theirNr) < 0 }
        if unacknowledged.count < count { retransmissions = 0 }
        if unacknowledged.isEmpty { nextDeadline = nil }
        let values = Self.values(Array(bytes.dropFirst(12)))
        guard let type = values[0].map({ number($0) }), !(type == 6 && ignoresHello) else { return }
        if theirNs == nr {
            nr = nr + 1 & 0xffff
            handle(type, values, now: now)
        }
        emit(ns, 0, [])
    }

    private static func values(_ body: [UInt8]) -> [Int: [UInt8]] {
        var result: [Int: [UInt8]] = [:]
        var at = 0
        while at + 6 <= body.count {
            let length = number(body[at..<(at + 2)]) & 0x3ff
            guard length >= 6, at + length <= body.count else { break }
            result[number(body[(at + 4)..<(at + 6)])] = Array(body[(at + 6)..<(at + length)])
            at += length
        }
        return result
    }

    private mutating func handle(_ type: Int, _ values: [Int: [UInt8]], now: Instant) {
        switch (type, stage) {
        case (2, .waitingForSCCRP):
            serverTunnel = number(values[9] ?? [])
            stage = .waitingForICRP
            send(Self.avp(0, be16(3)), now: now)
            send(Self.avp(0, be16(10)) + Self.avp(14, be16(sessionID)) + Self.avp(15, be32(1)), now: now)
        case (11, .waitingForICRP):
            serverSession = number(values[14] ?? [])
            stage = .connected
            send(
                Self.avp(0, be16(12)) + Self.avp(24, be32(10_000_000)) + Self.avp(19, be32(1)), session: serverSession,
                now: now)
        case (14, _):
            heardCDN = true
            stage = .ended
        case (4, _):
            heardStopCCN = true
            stage = .ended
        default: break
        }
    }

    private mutating func send(_ body: [UInt8], session: Int = 0, now: Instant) {
        unacknowledged.append((ns, session, body))
        emit(ns, session, body)
        ns = ns + 1 & 0xffff
        if nextDeadline == nil { nextDeadline = now + .seconds(1) }
    }

    private mutating func emit(_ ns: Int, _ session: Int, _ body: [UInt8]) {
        outbox.append(
            be16(0xc802) + be16(12 + body.count) + be16(serverTunnel) + be16(session) + be16(ns) + be16(nr) + body)
    }
}
