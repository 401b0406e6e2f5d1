import Testing
import Wire

@testable import L2TP

/// A server, a clock and the server's last words: what most tests need. Messages are written by hand and go straight in.
struct Bench {
    var server: L2TPServer
    var now = at(1)
    var generator = SeededGenerator(1)
    /// All events so far.
    var events: [L2TPEvent] = []

    init(_ configuration: L2TPConfiguration = L2TPConfiguration()) { server = L2TPServer(configuration: configuration) }

    /// Hands a message to the server, and gives back what the server sends at once.
    @discardableResult
    mutating func give(_ bytes: [UInt8], from peer: L2TPPeer = .first) throws -> [Sent] {
        server.receive(bytes.span.bytes, from: peer, now: now, using: &generator)
        return try drain()
    }

    /// Moves the clock to `end`, with every deadline on the way, and gives back what was sent and when.
    @discardableResult
    mutating func wait(_ duration: Duration) throws -> [(time: Instant, sent: Sent)] {
        let end = now + duration
        var all: [(Instant, Sent)] = []
        while let deadline = server.nextDeadline, deadline <= end {
            now = max(now, deadline)
            server.handleTimeout(now: now, using: &generator)
            all += try drain().map { (now, $0) }
        }
        now = end
        return all
    }

    mutating func drain() throws -> [Sent] {
        var all: [Sent] = []
        var writer = ByteWriter()
        while let peer = server.pollTransmit(into: &writer) {
            all.append(try Sent(writer.bytes, to: peer))
            writer.removeAll()
        }
        while let event = server.pollEvent() { events.append(event) }
        return all
    }

    /// An established tunnel under the client's id `remoteID`.
    mutating func establish(_ remoteID: UInt16 = 7, from peer: L2TPPeer = .first) throws -> L2TPTunnelID {
        let reply = try #require(
            try give(control(tunnel: 0, ns: 0, nr: 0, ClientBody.sccrq(tunnelID: remoteID)), from: peer).first)
        #expect(reply.type == .sccrp)
        let id = L2TPTunnelID(peer: peer.id, value: try #require(reply.message.uint16(.assignedTunnelID)))
        try give(control(tunnel: id.value, ns: 1, nr: 1, ClientBody.scccn()), from: peer)
        #expect(server.tunnel(id)?.isEstablished == true)
        return id
    }

    /// An established tunnel with an established session; the client's Ns is 4 then, and its Nr 2.
    mutating func connect(_ remoteID: UInt16 = 7, session: UInt16 = 70, from peer: L2TPPeer = .first) throws
        -> L2TPSessionID
    {
        let tunnel = try establish(remoteID, from: peer)
        let icrp = try #require(
            try give(control(tunnel: tunnel.value, ns: 2, nr: 1, ClientBody.icrq(sessionID: session)), from: peer).first
        )
        let value = try #require(icrp.message.uint16(.assignedSessionID))
        #expect(icrp.type == .icrp && icrp.header.sessionID == session)
        try give(control(tunnel: tunnel.value, session: value, ns: 3, nr: 2, ClientBody.iccn()), from: peer)
        let id = L2TPSessionID(tunnel: tunnel, value: value)
        #expect(server.session(id) != nil)
        return id
    }
}

extension L2TPPeer {
    static let first = L2TPPeer(id: 1, port: 1701)
    static let second = L2TPPeer(id: 2, port: 1701)
}
