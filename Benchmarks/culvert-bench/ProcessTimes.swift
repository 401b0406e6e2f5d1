import Glibc

/// The processor time that a process has used, by what its threads do, in nanoseconds.
struct ProcessTimes {
    private(set) var helpers = 0.0
    private(set) var control = 0.0
    private(set) var workers = 0.0
    private(set) var others = 0.0

    var all: Double { helpers + control + workers + others }

    /// Now, by the scheduler's own account of each thread of the process `id`.
    init(_ id: Int) {
        for thread in Self.names(in: "/proc/\(id)/task") {
            let folder = "/proc/\(id)/task/\(thread)"
            guard let account = readText("\(folder)/schedstat"), let name = readText("\(folder)/comm"),
                let time = account.split(separator: " ").first.flatMap({ Double($0) })
            else { continue }
            if name.hasPrefix("worker-") {
                workers += time
            } else if name.hasPrefix("NIO-ELT") {
                control += time
            } else if name.hasPrefix("TP-") {
                helpers += time
            } else {
                others += time
            }
        }
    }

    private init() {}

    /// What was used between `earlier` and this.
    func since(_ earlier: ProcessTimes) -> ProcessTimes {
        var times = ProcessTimes()
        times.helpers = helpers - earlier.helpers
        times.control = control - earlier.control
        times.workers = workers - earlier.workers
        times.others = others - earlier.others
        return times
    }

    private static func names(in folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }
}

/// How much memory of a process is in the machine's, in bytes.
func residentBytes(_ id: Int) -> Int {
    let pages = readText("/proc/\(id)/statm")?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    return (pages ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
}

private func readText(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
}
