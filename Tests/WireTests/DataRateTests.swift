import Testing
import Wire

@Suite("Data rates")
struct DataRateTests {
    @Test(
        "a rate is read and written in the largest unit that leaves a whole number",
        arguments: [
            ("8 kbit/s", 1000, "8 kbit/s"), ("20 Mbit/s", 2_500_000, "20 Mbit/s"),
            ("1500kbit/s", 187_500, "1500 kbit/s"),
            ("1000 Mbit/s", 125_000_000, "1 Gbit/s"), ("1000 Gbit/s", 125_000_000_000, "1000 Gbit/s"),
        ] as [(String, UInt64, String)])
    func text(text: String, bytesPerSecond: UInt64, written: String) {
        let rate = DataRate(text)
        #expect(rate?.bytesPerSecond == bytesPerSecond && rate?.description == written)
    }

    @Test(
        "what is not a rate is none",
        arguments: [
            "", "20", "Mbit/s", "20 Mb/s", "20 mbit/s", "1.5 Mbit/s", "-1 Mbit/s", "0 kbit/s", "20 Mbit/s ",
            " 20 Mbit/s",
            "1001 Gbit/s", "18446744073709551615 Gbit/s", "18446744073709551616 kbit/s", "\u{0662} Mbit/s",
        ])
    func nonsense(text: String) { #expect(DataRate(text) == nil) }

    @Test("a rate is one byte a second at least, and no more than there is")
    func bounds() {
        #expect(DataRate(bytesPerSecond: 0) == nil && DataRate(bytesPerSecond: .max) == nil)
        #expect(DataRate(bytesPerSecond: 1)?.description == "8 bit/s")
        #expect(DataRate(bytesPerSecond: DataRate.bitsPerSecondMaximum / 8)?.bitsPerSecond == 1_000_000_000_000)
        #expect(DataRate(bytesPerSecond: DataRate.bitsPerSecondMaximum / 8 + 1) == nil)
    }
}
