import ArgumentParser
import Cryptography
import ESP
import Wire

/// Sealing and opening of whole ESP packets, and the library's share of it.
struct Crypto: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "ESP: seal and open, by suite and packet size.")

    @OptionGroup var options: MeasureOptions

    @Option(help: ArgumentHelp("Measure this suite alone.", valueName: "name"))
    var suite: String?

    @Option(help: ArgumentHelp("Measure payloads of this size alone.", valueName: "bytes"))
    var bytes: Int?

    private static let bursts = [1, 8, 32]

    func run() throws {
        let suites = suite.map { name in NamedSuite.all.filter { $0.name == name } } ?? NamedSuite.all
        let sizes = bytes.map { [min(max($0, 1), 1400)] } ?? [64, 1400]
        let libraries: [(String, MultiBuffer)] =
            [("OpenSSL", .off)] + (MultiBuffer.library.isThere ? [("ipsec-mb", .wanted)] : [])
        print("with \(MultiBuffer.library.isThere ? MultiBuffer.library.description : "OpenSSL alone")")
        options.announce(
            "crypto", figures: suites.count * sizes.count * libraries.count * Self.bursts.count * 4)
        var table = Table(columns: [
            "suite", "bytes", "by", "burst", "seal ns", "open ns", "seal Gbit/s", "open Gbit/s", "library seal ns",
            "library open ns",
        ])
        for named in suites {
            for size in sizes {
                for (name, multiBuffer) in libraries {
                    for burst in Self.bursts {
                        let keys = named.keys()
                        let bench = Bench(
                            suite: named.suite, keys: keys, size: size, burst: burst, multiBuffer: multiBuffer,
                            nanoseconds: options.nanoseconds)
                        let (seal, open) = (try bench.seal(), try bench.open())
                        let library = try Library(named.suite, keys: keys, multiBuffer: multiBuffer)
                            .measure(payload: size, burstCount: burst, nanoseconds: options.nanoseconds)
                        table.rows.append([
                            .text(named.name), .number(Double(size), digits: 0), .text(name),
                            .number(Double(burst), digits: 0), .number(seal.nanoseconds, digits: 0),
                            .number(open.nanoseconds, digits: 0),
                            .number(seal.gigabitsPerSecond(bytes: size), digits: 2),
                            .number(open.gigabitsPerSecond(bytes: size), digits: 2),
                            .number(library.seal.nanoseconds, digits: 0),
                            .number(library.open.nanoseconds, digits: 0),
                        ])
                    }
                }
            }
        }
        table.show()
        table.write("crypto", to: options.results)
    }

    /// One suite at one size, `burst` packets at a time, whole ESP.
    private struct Bench {
        private static let index = SecurityParameterIndex(0x1000_0042)

        let suite: Suite
        let keys: SuiteKeys
        let size: Int
        let burst: Int
        let multiBuffer: MultiBuffer
        let nanoseconds: UInt64

        private func sender() throws -> OutboundSecurityAssociation {
            try OutboundSecurityAssociation(
                index: Self.index, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys),
                multiBuffer: multiBuffer)
        }

        private func sealAll(
            _ batch: borrowing PacketBatch, _ association: inout OutboundSecurityAssociation,
            _ random: inout RandomBlock, _ burst: PacketBurst
        ) {
            var total = Traffic()
            for position in 0..<batch.count {
                _ = association.seal(
                    &batch[position], nextHeader: IPProtocol.udp, random: &random, total: &total,
                    in: .passUnretained(burst), position: position)
            }
            burst.run()
            burst.removeAll()
        }

        func seal() throws -> Figure {
            var association = try sender()
            var batch = PacketBatch(capacity: batchCount, packetSizeMaximum: 4096)
            var random = RandomBlock()
            let together = PacketBurst(multiBuffer)
            return Stopwatch.measure(nanoseconds: nanoseconds) { watch in
                fill(&batch, count: size)
                batch.count = burst
                watch.start()
                sealAll(batch, &association, &random, together)
                watch.stop()
                return burst
            }
        }

        func open() throws -> Figure {
            var association = try sender()
            let together = PacketBurst(multiBuffer)
            var table = InboundTable(batchCapacity: batchCount, burst: together)
            table.install(
                try InboundSecurityAssociation(
                    index: Self.index, owner: 0, protection: Protection(payload: suite),
                    keys: ProtectionKeys(payload: keys), multiBuffer: multiBuffer))
            var batch = PacketBatch(capacity: batchCount, packetSizeMaximum: 4096)
            var random = RandomBlock()
            let figure = Stopwatch.measure(nanoseconds: nanoseconds) { watch in
                fill(&batch, count: size)
                batch.count = burst
                sealAll(batch, &association, &random, together)
                watch.start()
                table.open(batch, as: .esp)
                watch.stop()
                return burst
            }
            for reason in InboundDrop.allCases where table.drops[reason] > 0 { fatalError("dropped: \(reason)") }
            return figure
        }
    }
}
