import Cryptography
import Testing
import Wire

@testable import IKE

@Suite("Under attack: floods")
struct FloodTests {
    @Test("2,000 half-open exchanges are gone within a minute, and a dial-in works meanwhile")
    func halfOpen() {
        var world = World()
        for index in 0..<2000 as Range<UInt32> {
            var forger = TestInitiator(seed: UInt64(index))
            forger.initiatorCookie = forger.generator.bytes(8)
            world.deliver(forger.firstMessage, from: Endpoint(IPv4Address(0x0a00_0000 + index), 500))
        }
        #expect(world.engine.halfOpenCount == 2000)
        world.dialIn()
        #expect(world.keysAgree)
        world.run(for: .seconds(60))
        #expect(world.engine.halfOpenCount == 0)
        #expect(world.engine.associationCount == 1)
    }

    @Test("a flood of first messages keeps within its bounds and lets honest dial-ins through")
    func flood() {
        var world = World {
            $0.limits.halfOpenMaximum = 300
            $0.limits.halfOpenPerAddressMaximum = 50
        }
        world.client.start(now: world.now)
        var index: UInt32 = 0
        // 100 forged first messages between any two messages of the client, from one address and from many.
        for _ in 0..<60 {
            for _ in 0..<100 {
                var forger = TestInitiator(seed: UInt64(index) + 5000)
                forger.initiatorCookie = forger.generator.bytes(8)
                let many = IPv4Address(0x0b00_0000 + index)
                world.deliver(
                    forger.firstMessage, from: Endpoint(index % 2 == 0 ? many : IPv4Address(203, 0, 113, 5), 500))
                index += 1
            }
            #expect(world.engine.halfOpenCount <= 300)
            world.run(for: .milliseconds(25))
        }
        #expect(world.client.phase == .established)
        #expect(world.engine.drops[.halfOpenEvicted] > 0)
        #expect(world.engine.drops[.halfOpenEvictedForAddress] > 0)
        world.run(for: .seconds(31))
        #expect(world.engine.halfOpenCount == 0)
    }

    @Test("guessing keys from one address slows that address, and no other")
    func guessing() {
        var world = World()
        var guesses = 0
        for seed in 0..<30 as Range<UInt64> {
            world.client = TestInitiator(seed: seed)
            world.client.settings.preSharedKey = Array("guess \(seed)".utf8)
            world.client.start(now: world.now)
            world.run(for: .milliseconds(100))
            world.client.settle()
            guesses += world.client.phase == .sentAuthentication ? 1 : 0
        }
        #expect(guesses <= 11)
        #expect(world.engine.drops[.addressSlowed] >= 19)
        world.client = TestInitiator(seed: 77)
        world.outer = Endpoint(IPv4Address(203, 0, 113, 20), 500)
        world.outerFloated = Endpoint(IPv4Address(203, 0, 113, 20), 4500)
        world.dialIn()
        #expect(world.client.phase == .established)
        world.run(for: .seconds(30))
        world.outer = Endpoint(allowedAddress, 500)
        world.outerFloated = Endpoint(allowedAddress, 4500)
        world.client = TestInitiator(seed: 78)
        world.dialIn()
        #expect(world.client.phase == .established)
    }

    @Test("an authenticated peer cannot start quick modes or collect SAs without bound")
    func quickFlood() {
        var world = World.connected()
        world.acceptsQuickModes = false
        for _ in 0..<40 {
            world.client.startQuickMode(now: world.now)
            world.client.settle()
            for item in world.client.outbox { world.deliver(item.bytes) }
            world.client.outbox.removeAll()
        }
        #expect(world.requests.count == 9)
        #expect(world.engine.drops[.tooManyQuickModes] == 32)
        world.run(for: .seconds(31))
        world.acceptsQuickModes = true
        for _ in 0..<80 {
            world.client.startQuickMode(now: world.now)
            world.run(for: .seconds(2))
        }
        #expect(world.engine.securityAssociationCount == 64)
        #expect(world.engine.drops[.tooManySecurityAssociations] > 0)
    }

    @Test("Diffie-Hellman that nobody computes fills a bounded queue")
    func workQueue() {
        var world = World {
            $0.limits.workQueueMaximum = 10
        }
        world.performsWork = false
        for seed in 0..<30 as Range<UInt64> {
            world.client = TestInitiator(seed: seed)
            world.client.start(now: world.now)
            world.run(for: .milliseconds(100))
            world.client.settle()
        }
        #expect(world.engine.drops[.workQueueFull] == 20)
    }

    @Test("Notifies in clear have a rate")
    func notifyRate() {
        var world = World()
        var settings = TestInitiator.Settings()
        settings.offer = Offers.cheapRouter
        for seed in 0..<500 as Range<UInt64> {
            var forger = TestInitiator(settings, seed: seed)
            forger.initiatorCookie = forger.generator.bytes(8)
            world.deliver(forger.firstMessage, from: Endpoint(IPv4Address(UInt32(0x0b00_0000 + seed)), 500))
        }
        #expect(world.sent.count == 50)
        #expect(world.refusals.count == 10)
        #expect(world.engine.drops[.notifyRateLimited] == 450)
    }
}
