import Gateway
import Wire

extension PlaneInMemory {
    /// L2TP and PPP of the client that has its SAs since just now, up to its inner address. Its numbers come from `number`.
    mutating func connect(_ number: Int, now: Instant) -> Bool {
        var tunnel = TunnelClient(tunnelID: number % 0xffff + 1, sessionID: 1)
        tunnel.start(now: now)
        var link: LinkClient?
        while link?.address == nil {
            if link == nil, tunnel.stage == .connected {
                link = LinkClient(user: "alice", password: "wonderland", magicNumber: be32(number + 1))
                link?.start(now: now)
            }
            let messages = tunnel.outbox.map { Inner.control($0) } + (link?.outbox ?? []).map { Inner.frame($0) }
            guard !messages.isEmpty else { return false }
            tunnel.outbox.removeAll()
            link?.outbox.removeAll()
            for answer in messages.flatMap({ receive($0) }) {
                switch answer {
                case .control(let message): tunnel.receive(message, now: now)
                case .frame(let frame): link?.receive(frame, now: now)
                }
            }
        }
        return true
    }
}
