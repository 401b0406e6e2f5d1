import ArgumentParser
import Cryptography
import ESP
import Wire

/// Sealing and opening of whole ESP packets, and the library's share of it.
struct Crypto: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "ESP: seal and open, by suite and packet size.")

    @OptionGroup var options: MeasureOptions

    private static let sizes = [64, 512, 1400]

    func run() throws {
        options.announce("crypto", figures: NamedSuite.all.count * Self.sizes.count * 4)
        var table = Table(columns: [
            "suite", "bytes", "seal ns", "open ns", "seal Mpps", "open Mpps", "seal Gbit/s", "open Gbit/s",
            "library seal ns", "library open ns",
        ])
        for named in NamedSuite.all {
            for size in Self.sizes {
                let keys = named.keys()
                let seal = try Self.seal(named.suite, keys, size, options.nanoseconds)
                let open = try Self.open(named.suite, keys, size, options.nanoseconds)
                let library = try Library(named.suite, keys: keys)
                    .measure(payload: size, nanoseconds: options.nanoseconds)
                table.rows.append([
                    .text(named.name), .number(Double(size), digits: 0), .number(seal.nanoseconds, digits: 0),
                    .number(open.nanoseconds, digits: 0), .number(seal.perSecond / 1e6, digits: 2),
                    .number(open.perSecond / 1e6, digits: 2), .number(seal.gigabitsPerSecond(bytes: size), digits: 2),
                    .number(open.gigabitsPerSecond(bytes: size), digits: 2),
                    .number(library.seal.nanoseconds, digits: 0), .number(library.open.nanoseconds, digits: 0),
                ])
            }
        }
        table.show()
        table.write("crypto", to: options.results)
    }

    private static let index = SecurityParameterIndex(0x1000_0042)

    private static func seal(_ suite: Suite, _ keys: SuiteKeys, _ size: Int, _ nanoseconds: UInt64) throws -> Figure {
        var association = try OutboundSecurityAssociation(
            index: index, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys))
        var batch = PacketBatch(capacity: batchCount, packetSizeMaximum: 4096)
        var random = RandomBlock()
        return Stopwatch.measure(nanoseconds: nanoseconds) { watch in
            fill(&batch, count: size)
            watch.start()
            for position in 0..<batchCount {
                _ = association.seal(&batch[position], nextHeader: IPProtocol.udp, random: &random)
            }
            watch.stop()
            return batchCount
        }
    }

    private static func open(_ suite: Suite, _ keys: SuiteKeys, _ size: Int, _ nanoseconds: UInt64) throws -> Figure {
        var association = try OutboundSecurityAssociation(
            index: index, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys))
        var table = InboundTable(batchCapacity: batchCount)
        table.install(
            try InboundSecurityAssociation(
                index: index, owner: 0, protection: Protection(payload: suite), keys: ProtectionKeys(payload: keys)))
        var batch = PacketBatch(capacity: batchCount, packetSizeMaximum: 4096)
        var random = RandomBlock()
        let figure = Stopwatch.measure(nanoseconds: nanoseconds) { watch in
            fill(&batch, count: size)
            for position in 0..<batchCount {
                _ = association.seal(&batch[position], nextHeader: IPProtocol.udp, random: &random)
            }
            watch.start()
            table.open(batch, as: .esp)
            watch.stop()
            return batchCount
        }
        for reason in InboundDrop.allCases where table.drops[reason] > 0 { fatalError("dropped: \(reason)") }
        return figure
    }
}
