import Wire

@testable import L2TP

/// A client as simple as one can be: one tunnel, one session, everything sent again each second until it is acknowledged.
/// It shares no code with the server's channel, so that the two cannot be wrong together.
struct TestClient {
    enum Stage: Hashable {
        case idle
        case waitingForSCCRP
        case waitingForICRP
        case connected
        case ended
    }

    let peer: L2TPPeer
    private(set) var stage = Stage.idle
    private(set) var tunnelID: UInt16 = 0
    private(set) var sessionID: UInt16 = 0
    private(set) var serverTunnel: UInt16 = 0
    private(set) var serverSession: UInt16 = 0
    /// Ignores HELLO without a word, as Android 9 does, and does not count it.
    var ignoresHello = false
    /// Gone: neither hears nor says anything.
    var hasVanished = false
    var outbox: [[UInt8]] = []
    private var ns: UInt16 = 0
    private var nr: UInt16 = 0
    private var unacknowledged: [(ns: UInt16, session: UInt16, body: [UInt8])] = []
    private(set) var deadline: Instant?

    init(peer: L2TPPeer) { self.peer = peer }

    mutating func dial(now: Instant, using generator: inout some RandomNumberGenerator) {
        self = TestClient(peer: peer)
        tunnelID = UInt16.random(in: 1...UInt16.max, using: &generator)
        sessionID = UInt16.random(in: 1...UInt16.max, using: &generator)
        stage = .waitingForSCCRP
        send(ClientBody.sccrq(tunnelID: tunnelID), now: now)
    }

    mutating func hangUp(now: Instant) {
        send(ClientBody.cdn(sessionID: sessionID), session: serverSession, now: now)
        send(ClientBody.stopCCN(tunnelID: tunnelID), now: now)
        stage = .ended
    }

    mutating func handleTimeout(now: Instant) {
        guard let deadline, deadline <= now else { return }
        self.deadline = unacknowledged.isEmpty ? nil : now + .seconds(1)
        for message in unacknowledged { emit(message.ns, message.session, message.body) }
    }

    mutating func receive(_ bytes: [UInt8], now: Instant) {
        guard !hasVanished, let sent = try? Sent(bytes, to: peer), sent.header.tunnelID == tunnelID else { return }
        unacknowledged.removeAll { Int16(bitPattern: $0.ns &- sent.header.nr.value) < 0 }
        if unacknowledged.isEmpty { deadline = nil }
        guard let type = sent.type, !(type == .hello && ignoresHello) else { return }
        if sent.header.ns.value == nr {
            nr &+= 1
            handle(type, sent, now: now)
        }
        emit(ns, 0, [])
    }

    private mutating func handle(_ type: MessageType, _ sent: Sent, now: Instant) {
        switch (type, stage) {
        case (.sccrp, .waitingForSCCRP):
            serverTunnel = sent.message.uint16(.assignedTunnelID) ?? 0
            stage = .waitingForICRP
            send(ClientBody.scccn(), now: now)
            send(ClientBody.icrq(sessionID: sessionID), now: now)
        case (.icrp, .waitingForICRP):
            serverSession = sent.message.uint16(.assignedSessionID) ?? 0
            stage = .connected
            send(ClientBody.iccn(), session: serverSession, now: now)
        case (.cdn, _), (.stopCCN, _): stage = .ended
        default: break
        }
    }

    private mutating func send(_ body: [UInt8], session: UInt16 = 0, now: Instant) {
        unacknowledged.append((ns, session, body))
        emit(ns, session, body)
        ns &+= 1
        if deadline == nil { deadline = now + .seconds(1) }
    }

    private mutating func emit(_ ns: UInt16, _ session: UInt16, _ body: [UInt8]) {
        guard !hasVanished else { return }
        outbox.append(control(tunnel: serverTunnel, session: session, ns: ns, nr: nr, body))
    }
}
