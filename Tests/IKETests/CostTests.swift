import CAllocationCounter
import Cryptography
import IKE
import Testing
import Wire

/// What a dial-in costs, counted rather than timed: so that it is the same on every machine. In a debug build, which
/// allocates more than a release build does.
@Suite("What a dial-in costs")
struct CostTests {
    private struct Gateway {
        var engine: IKEEngine
        var generator = SplitMix(state: 3)
        var now = Instant(nanoseconds: 1_000_000_000)
        var allocations = 0
        private var lastSPI: UInt32 = 0x1000

        init() {
            engine = IKEEngine(
                configuration: IKEConfiguration(
                    preSharedKeys: PreSharedKeys(defaultKey: SecretBytes(utf8: "correct horse"))))
        }

        mutating func settle() -> [[UInt8]] {
            while let work = engine.pollWork() { engine.complete(work.perform(), now: now, using: &generator) }
            while let event = engine.pollEvent() {
                guard case .quickModeRequested(let request) = event else { continue }
                lastSPI += 1
                engine.accept(request.id, inboundSPI: lastSPI, now: now, using: &generator)
            }
            var answers: [[UInt8]] = []
            var writer = ByteWriter()
            while engine.pollTransmit(into: &writer) != nil {
                answers.append(writer.bytes)
                writer.removeAll()
            }
            return answers
        }

        /// One client's main mode and quick mode; whether it got in.
        mutating func dialIn(_ seed: UInt32) -> Bool {
            let address = IPv4Address(10 << 24 | seed)
            var settings = TestInitiator.Settings()
            settings.own = Endpoint(address, 500)
            settings.offer = Offers.offer([
                Offers.phaseOne(Offers.aes, 256, Offers.sha256, 19, life: Offers.hour)
            ])
            var client = TestInitiator(settings, seed: UInt64(seed))
            client.start(now: now)
            var hasAsked = false
            while true {
                while !client.outbox.isEmpty {
                    let message = client.outbox.removeFirst().bytes
                    let before = culvert_allocation_count()
                    engine.receive(
                        message.span.bytes, from: Endpoint(address, 500), to: Endpoint(gatewayAddress, 500), now: now,
                        using: &generator)
                    let answers = settle()
                    allocations += culvert_allocation_count() - before
                    for answer in answers { client.receive(answer, now: now) }
                }
                guard client.phase == .established, !hasAsked else { return client.children.count == 1 }
                hasAsked = true
                client.startQuickMode(now: now)
            }
        }
    }

    @Test("a dial-in by P-256 takes no more than three thousand allocations, however many came before")
    func allocations() {
        guard culvert_allocation_count() >= 0 else { return }
        var gateway = Gateway()
        for seed in 1...20 as ClosedRange<UInt32> {
            let isIn = gateway.dialIn(seed)
            #expect(isIn)
        }
        gateway.allocations = 0
        for seed in 101...150 as ClosedRange<UInt32> {
            let isIn = gateway.dialIn(seed)
            #expect(isIn)
        }
        #expect(gateway.allocations / 50 < 3000, "\(gateway.allocations / 50)")
    }

    @Test("a silent client holds no more than 3200 bytes of IKE's when its set-up is forgotten")
    func memory() {
        guard culvert_heap_bytes() >= 0 else { return }
        var gateway = Gateway()
        // Tables grow by doubling: a number of clients at which they are as full as on average.
        let clients = 1150
        let before = culvert_heap_bytes()
        for seed in 0..<UInt32(clients) {
            let isIn = gateway.dialIn(seed)
            #expect(isIn)
        }
        gateway.now += .seconds(45)
        gateway.engine.handleTimeout(now: gateway.now, using: &gateway.generator)
        _ = gateway.settle()
        let perClient = (culvert_heap_bytes() - before) / clients
        #expect(gateway.engine.securityAssociationCount == clients)
        #expect(perClient < 3200, "\(perClient)")
    }
}
