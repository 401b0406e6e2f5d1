import Testing
import Wire

@testable import Gateway

extension Simulation {
    /// From now on, what must hold at every moment is checked at every moment, and the seed told where it does not.
    func expectLegalAlways(_ location: SourceLocation = #_sourceLocation) {
        var isKnown = false
        check = { world in
            let violations = world.gateway.violations()
            guard !violations.isEmpty, !isKnown else { return }
            isKnown = true
            Issue.record("seed \(world.seed) at \(world.now): \(violations)", sourceLocation: location)
        }
    }

    /// Dials and waits until the client is in.
    func connect(_ client: SimulatedClient, _ location: SourceLocation = #_sourceLocation) {
        dial(client)
        let isUp = run(atMost: .seconds(40)) { _ in client.stage == .up }
        #expect(isUp, "client \(client.index) is not in", sourceLocation: location)
    }

    /// Whether a probe of the client gets through and its answer comes back.
    func expectData(_ client: SimulatedClient, serial: Int, _ location: SourceLocation = #_sourceLocation) {
        tell(client) { client, _ in client.sendProbe(serial: serial, to: Self.host) }
        run(.milliseconds(500))
        #expect(client.repliesReceived.contains(serial), "client \(client.index)", sourceLocation: location)
    }

    /// Nothing of any client is left, once everything that has a time limit has had it.
    func expectNothingLeft(after duration: Duration = .seconds(240), _ location: SourceLocation = #_sourceLocation) {
        run(duration)
        let leftovers = gateway.leftovers()
        #expect(leftovers.isEmpty, "seed \(seed): \(leftovers)", sourceLocation: location)
    }
}
