import Glibc

/// Why a file could not be read or written: the system's own words.
public struct FileError: Error, CustomStringConvertible {
    let code: CInt
    /// Whether nothing of that name is there.
    public var isNoSuchFile: Bool { code == ENOENT }
    /// The reason in the system's words.
    public var description: String { String(cString: strerror(code)) }
}

/// Small files, read whole and written so that a crash leaves either the old contents or the new.
public enum PrivateFile {
    /// What the owner alone may do with a file that holds secrets.
    static let fileMode: mode_t = 0o600
    /// What the owner alone may do with its directory.
    static let directoryMode: mode_t = 0o700

    /// The contents of the file and its mode; throws EFBIG above `bytesMaximum`, EISDIR for what is no regular file.
    public static func read(_ path: String, bytesMaximum: Int, followsLinks: Bool) throws(FileError) -> (
        bytes: [UInt8], mode: UInt32
    ) {
        // Non-blocking, for a FIFO would otherwise wait for a writer.
        let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW)
        let descriptor = open(path, flags)
        guard descriptor >= 0 else { throw FileError(code: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError(code: errno) }
        let type = status.st_mode & S_IFMT
        // /dev/stdin and process substitution are pipes, and an operator's to name; secrets of ours are plain files.
        guard type == S_IFREG || (followsLinks && type == S_IFIFO) else { throw FileError(code: EISDIR) }
        if type == S_IFIFO { _ = fcntl(descriptor, F_SETFL, 0) }
        return (try readAll(descriptor, bytesMaximum), status.st_mode & 0o7777)
    }

    private static func readAll(_ descriptor: CInt, _ bytesMaximum: Int) throws(FileError) -> [UInt8] {
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let size = block.count
            let count = block.withUnsafeMutableBytes { readSome(descriptor, $0.baseAddress, size) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileError(code: errno) }
            if count == 0 { return bytes }
            bytes += block[0..<count]
            guard bytes.count <= bytesMaximum else { throw FileError(code: EFBIG) }
        }
    }

    /// Makes `path` and what leads to it; a directory that exists keeps its mode, for it is not ours to close.
    public static func makeDirectory(_ path: String) throws(FileError) {
        if mkdir(path, directoryMode) == 0 { return }
        let code = errno
        switch code {
        case EEXIST:
            var status = stat()
            guard stat(path, &status) == 0 else { throw FileError(code: errno) }
            guard status.st_mode & S_IFMT == S_IFDIR else { throw FileError(code: ENOTDIR) }
        case ENOENT:
            let parent = parent(of: path)
            guard parent != path else { throw FileError(code: code) }
            try makeDirectory(parent)
            guard mkdir(path, directoryMode) == 0 || errno == EEXIST else { throw FileError(code: errno) }
        default:
            throw FileError(code: code)
        }
    }

    /// The folder that `path` lies in.
    public static func parent(of path: String) -> String {
        var rest = Substring(path)
        while rest.count > 1, rest.hasSuffix("/") { rest.removeLast() }
        guard let slash = rest.lastIndex(of: "/") else { return "." }
        return slash == rest.startIndex ? "/" : String(rest[..<slash])
    }

    /// Replaces the file `name` in `directory`: a new file beside it, on the disk before it takes the name, and the
    /// directory's entry on the disk before this returns.
    public static func replace(_ name: String, in directory: String, with bytes: [UInt8]) throws(FileError) {
        let path = "\(directory)/\(name)"
        let temporary = "\(path).new"
        _ = unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, fileMode)
        guard descriptor >= 0 else { throw FileError(code: errno) }
        do throws(FileError) {
            try writeAndClose(descriptor, bytes)
            guard rename(temporary, path) == 0 else { throw FileError(code: errno) }
        } catch {
            _ = unlink(temporary)
            throw error
        }
        try synchronize(directory)
    }

    private static func writeAndClose(_ descriptor: CInt, _ bytes: [UInt8]) throws(FileError) {
        defer { close(descriptor) }
        // The mode asked of open() passes through the umask; this does not.
        guard fchmod(descriptor, fileMode) == 0 else { throw FileError(code: errno) }
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { writeSome(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw FileError(code: count < 0 ? errno : EIO) }
            written += count
        }
        guard fsync(descriptor) == 0 else { throw FileError(code: errno) }
    }

    private static func synchronize(_ directory: String) throws(FileError) {
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError(code: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw FileError(code: errno) }
    }

    /// Takes the file away from everybody but its owner.
    public static func restrict(_ path: String) throws(FileError) {
        guard chmod(path, fileMode) == 0 else { throw FileError(code: errno) }
    }
}

extension PrivateFile {
    /// The names in a folder, in no order; nil for what is none.
    public static func names(inFolder path: String) -> [String]? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return nil }
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// What changes when the file does: its time, its size and which file it is. Nothing is read for it; nil where there is
    /// none.
    public static func fingerprint(_ path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return "\(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec) \(status.st_size) \(status.st_ino)"
    }
}

// `read` and `write` by their own names would be found as members of the type above.
private func readSome(_ descriptor: CInt, _ target: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(descriptor, target, count)
}

private func writeSome(_ descriptor: CInt, _ source: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, source, count)
}
