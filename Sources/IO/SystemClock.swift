import CLinux
import Wire

/// The clocks of the system.
public enum SystemClock {
    /// Now, on the monotonic clock.
    public static var now: Instant { Instant(nanoseconds: culvert_monotonic_nanoseconds()) }

    /// Seconds since 1970-01-01 00:00 UTC, on the wall clock.
    public static var wallSeconds: Int64 { culvert_wall_seconds() }

    /// The point in time `wallSeconds` as RFC 3339 writes it, in UTC: 2026-03-01T12:00:00Z.
    public static func timestamp(wallSeconds: Int64) -> String {
        // Beyond these, RFC 3339 has no four-digit year to write.
        let seconds = min(max(wallSeconds, -62_167_219_200), 253_402_300_799)
        let days = Int(seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400)
        let secondOfDay = Int(seconds) - days * 86_400
        // Counted in eras of 400 years from a 1st of March, so that the leap day is the last of its year.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let date = "\(digits(year, 4))-\(digits(month, 2))-\(digits(day, 2))"
        let (hour, minute, second) = (secondOfDay / 3600, secondOfDay / 60 % 60, secondOfDay % 60)
        return "\(date)T\(digits(hour, 2)):\(digits(minute, 2)):\(digits(second, 2))Z"
    }

    private static func digits(_ number: Int, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}
