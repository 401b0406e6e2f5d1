import CAllocationCounter
import Testing
import Wire

@testable import Gateway

/// What a silent session holds, counted: IKE, L2TP, PPP, accounts and one worker, all of a gateway but its threads and
/// sockets. A client is forgotten as soon as it is in, so that all that stays is the gateway's. A release build holds the
/// same; the goal is 8 KiB.
@Suite("What a silent session costs in memory")
struct SessionMemoryTests {
    private final class Clock {
        var now = Instant(nanoseconds: 1_000_000_000)
    }

    private final class Gateway {
        private var plane: PlaneInMemory
        private let clock = Clock()
        private var now: Instant { clock.now }

        init?() {
            let clock = clock
            guard let plane = PlaneInMemory(preSharedKey: "labsecret", now: { clock.now }) else { return nil }
            self.plane = plane
        }

        func wait(_ duration: Duration) {
            clock.now += duration
            _ = plane.handleTimeout()
        }

        /// A client with an address of its own dials in, up to its inner address.
        func dialIn(_ number: Int) -> Bool {
            let address = IPv4Address(10 << 24 | UInt32(number))
            var settings = IKEInitiator.Settings()
            settings.own = Endpoint(address, 500)
            var ike = IKEInitiator(settings, generator: SeededGenerator(UInt64(number)))
            ike.start(now: now)
            exchange(&ike, address)
            ike.startQuickMode(now: now)
            exchange(&ike, address)
            return ike.children.count == 1 && plane.connect(number, now: now)
        }

        private func exchange(_ ike: inout IKEInitiator, _ address: IPv4Address) {
            while !ike.outbox.isEmpty {
                let message = ike.outbox.removeFirst().bytes
                let answers = plane.receive(
                    message, from: Endpoint(address, 500), to: Endpoint(address: Simulation.gatewayAddress, port: 500))
                for answer in answers { ike.receive(answer, now: now) }
            }
        }

        var counts: (plane: Int, worker: Int) { plane.securityAssociationCounts }
    }

    @Test("at most 8 KiB, when what its set-up needed is forgotten")
    func memory() throws {
        guard culvert_heap_bytes() >= 0 else { return }
        let gateway = try #require(Gateway())
        // Tables grow by doubling: a number of sessions at which they are as full as on average. The first is not counted,
        // since what is made once for all comes with it.
        let (first, clients) = (1, 280)
        #expect(gateway.dialIn(0))
        let before = culvert_heap_bytes()
        for number in first...clients {
            let isIn = gateway.dialIn(number)
            #expect(isIn)
        }
        gateway.wait(.seconds(45))
        #expect(gateway.counts == (clients + first, clients + first))
        let perSession = (culvert_heap_bytes() - before) / clients
        #expect(perSession < 8192, "\(perSession)")
    }
}
