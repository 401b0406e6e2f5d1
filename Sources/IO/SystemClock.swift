import CLinux
import Wire

/// The clocks of the system.
public enum SystemClock {
    /// Now, on the monotonic clock.
    public static var now: Instant { Instant(nanoseconds: culvert_monotonic_nanoseconds()) }

    /// Seconds since 1970-01-01 00:00 UTC, on the wall clock.
    public static var wallSeconds: Int64 { culvert_wall_seconds() }
}
