import CIPsecMB
import COpenSSL
import Wire

/// A cipher and an HMAC that a multi-buffer library runs for many packets at once: one packet's chain of blocks leaves most
/// of the processor idle, which other packets' chains fill.
public struct BurstSuite: Sendable, Hashable, CaseIterable {
    /// The ciphers that there is something to gain with.
    public enum Cipher: Int, Sendable, CaseIterable {
        case aes128CBC, aes192CBC, aes256CBC, aes128CTR, aes192CTR, aes256CTR, tripleDESCBC
    }

    /// The hashes of HMAC, all that ESP has.
    public static let hashes: [HashAlgorithm] = [.md5, .sha1, .sha256, .sha384, .sha512]
    /// All pairs of them.
    public static let allCases = Cipher.allCases.flatMap { cipher in
        hashes.map { BurstSuite(uncheckedCipher: cipher, hash: $0) }
    }

    /// The cipher.
    public let cipher: Cipher
    /// The hash under HMAC.
    public let hash: HashAlgorithm

    private init(uncheckedCipher cipher: Cipher, hash: HashAlgorithm) { (self.cipher, self.hash) = (cipher, hash) }

    /// The suite of a cipher and HMAC by `hash`; nil where packets are better taken one at a time.
    public init?(_ algorithm: PacketCipher.Algorithm, hash: HashAlgorithm) {
        guard Self.hashes.contains(hash) else { return nil }
        switch algorithm {
        case .cbc(.aes128): cipher = .aes128CBC
        case .cbc(.aes192): cipher = .aes192CBC
        case .cbc(.aes256): cipher = .aes256CBC
        case .cbc(.tripleDES): cipher = .tripleDESCBC
        case .ctr(16): cipher = .aes128CTR
        case .ctr(24): cipher = .aes192CTR
        case .ctr(32): cipher = .aes256CTR
        case .cbc(.des), .ctr, .gcm, .ccm, .chaCha20Poly1305: return nil
        }
        self.hash = hash
    }

    /// The cipher as a ``PacketCipher`` has it.
    public var algorithm: PacketCipher.Algorithm {
        switch cipher {
        case .aes128CBC: .cbc(.aes128)
        case .aes192CBC: .cbc(.aes192)
        case .aes256CBC: .cbc(.aes256)
        case .tripleDESCBC: .cbc(.tripleDES)
        case .aes128CTR: .ctr(keyLength: 16)
        case .aes192CTR: .ctr(keyLength: 24)
        case .aes256CTR: .ctr(keyLength: 32)
        }
    }

    /// Its place among ``allCases``.
    var index: Int { cipher.rawValue * Self.hashes.count + (Self.hashes.firstIndex(of: hash) ?? 0) }

    /// How many packets of one suite a burst must have, so that it is faster than one packet after the other by OpenSSL, as
    /// measured with packets of 1400 bytes. OpenSSL has the processor's own instructions for SHA-256 as for SHA-1, and
    /// bursts gain less by it.
    var packetsMinimum: Int {
        switch (cipher, hash) {
        case (.tripleDESCBC, _): 16
        case (_, .sha256): 10
        default: 5
        }
    }

    fileprivate var libraryCipher: Int32 {
        switch cipher {
        case .aes128CBC, .aes192CBC, .aes256CBC: Int32(culvert_burst_aes_cbc)
        case .aes128CTR, .aes192CTR, .aes256CTR: Int32(culvert_burst_aes_ctr)
        case .tripleDESCBC: Int32(culvert_burst_triple_des)
        }
    }
}

/// The keys of one direction of an SA whose packets go through bursts. It lends the contexts that OpenSSL works by where a
/// burst is small, so it must not outlive them.
public struct BurstKeys: ~Copyable {
    fileprivate let keys: OpaquePointer
    fileprivate let cipher: OpaquePointer
    fileprivate let authenticator: OpaquePointer
    fileprivate let suite: UInt8
    fileprivate let checkLength: UInt8
    fileprivate let isEncrypting: Bool
    fileprivate let isCounter: Bool

    /// The keys of `suite`, in the library's form; `checkLength` bytes of the code travel, at most
    /// ``PacketBurst/checkLengthMaximum``. Nil where the library is not there, did not pass its test with this suite, or has
    /// no memory: then OpenSSL does it all.
    public init?(
        _ suite: BurstSuite, key: SecretBytes, integrityKey: SecretBytes, checkLength: Int,
        direction: PacketCipher.Direction, multiBuffer: MultiBuffer, cipher: borrowing PacketCipher,
        authenticator: borrowing PacketAuthenticator
    ) {
        guard multiBuffer.isWanted, MultiBuffer.library.has(suite) else { return nil }
        self.init(
            unverified: suite, key: key, integrityKey: integrityKey, checkLength: checkLength, direction: direction,
            cipher: cipher, authenticator: authenticator)
    }

    /// The same of a suite that is about to be tested.
    init?(
        unverified suite: BurstSuite, key: SecretBytes, integrityKey: SecretBytes, checkLength: Int,
        direction: PacketCipher.Direction, cipher: borrowing PacketCipher, authenticator: borrowing PacketAuthenticator
    ) {
        guard checkLength > 0, checkLength <= PacketBurst.checkLengthMaximum, let context = cipher.context else {
            return nil
        }
        let made = key.withUnsafePointer { key in
            integrityKey.withUnsafePointer {
                culvert_burst_keys_create(
                    suite.libraryCipher, key, cipher.keyLength, Int32(suite.hash.digestLength * 8), $0,
                    integrityKey.count, direction == .encrypt ? 1 : 0)
            }
        }
        guard let keys = made else { return nil }
        self.keys = keys
        self.cipher = context
        self.authenticator = authenticator.state
        self.suite = UInt8(suite.index)
        self.checkLength = UInt8(checkLength)
        isEncrypting = direction == .encrypt
        isCounter = if case .ctr = suite.algorithm { true } else { false }
    }

    deinit { culvert_burst_keys_free(keys) }
}

/// Packets that are encrypted and authenticated, or verified and decrypted, together, in place: by a multi-buffer library
/// where enough of one suite are there, else one after the other by OpenSSL. One per worker, shared by all of its SAs and by
/// both directions.
public final class PacketBurst {
    /// How many packets there are at most: nothing is gained by more.
    public static let capacity = Int(culvert_burst_capacity)
    /// The longest check value, in bytes: HMAC-SHA-512-256's (RFC 4868).
    public static let checkLengthMaximum = 32

    /// What stays of a packet until the burst is over.
    private struct Record {
        var cipher: OpaquePointer
        var authenticator: OpaquePointer
        var position: Int
        /// Authenticated behind the packet, and does not travel.
        var behind: UInt32
        var hasBehind: Bool
        var checkLength: UInt8
        var suite: UInt8
        var isEncrypting: Bool
        /// Whether the multi-buffer library has it.
        var isChosen: Bool
        var isGood: Bool
    }

    /// One packet's memory beside the packet: its code, then CTR's first block, then the check value that came.
    private enum Room {
        static let counterOffset = Int(culvert_burst_code_length)
        static let receivedOffset = counterOffset + 16
        static let length = receivedOffset + checkLengthMaximum
    }

    private let manager: OpaquePointer?
    private let jobs: UnsafeMutablePointer<culvert_burst_job>
    private let chosen: UnsafeMutablePointer<UnsafeMutablePointer<culvert_burst_job>?>
    private let records: UnsafeMutablePointer<Record>
    private let rooms: UnsafeMutableRawPointer
    /// How many packets of each suite there are, and how many make a burst worth it.
    private let counts: UnsafeMutablePointer<UInt8>
    private let minimums: UnsafeMutablePointer<UInt8>
    /// How many packets were run by the multi-buffer library so far, for those who want to know that they are.
    public private(set) var multiBufferCount: UInt64 = 0
    /// How many packets there are now.
    public private(set) var count = 0

    /// A burst without packets, on the multi-buffer library where it is there and wanted.
    public convenience init(_ multiBuffer: MultiBuffer = .wanted) {
        self.init(isOnLibrary: multiBuffer.isWanted && MultiBuffer.library.isThere)
    }

    /// The same before it is known what the library is good for. `packetsMinimum` is for tests.
    init(isOnLibrary: Bool, packetsMinimum: Int? = nil) {
        manager = isOnLibrary ? culvert_burst_create() : nil
        jobs = .allocate(capacity: Self.capacity)
        chosen = .allocate(capacity: Self.capacity)
        records = .allocate(capacity: Self.capacity)
        rooms = .allocate(byteCount: Room.length * Self.capacity, alignment: 16)
        counts = .allocate(capacity: BurstSuite.allCases.count)
        minimums = .allocate(capacity: BurstSuite.allCases.count)
        jobs.initialize(repeating: culvert_burst_job(), count: Self.capacity)
        chosen.initialize(repeating: nil, count: Self.capacity)
        counts.initialize(repeating: 0, count: BurstSuite.allCases.count)
        for suite in BurstSuite.allCases {
            minimums[suite.index] = UInt8(packetsMinimum ?? suite.packetsMinimum)
        }
        for job in 0..<Self.capacity {
            jobs[job].code = (rooms + job * Room.length).assumingMemoryBound(to: UInt8.self)
        }
    }

    deinit {
        culvert_burst_free(manager)
        OPENSSL_cleanse(rooms, Room.length * Self.capacity)
        jobs.deallocate()
        chosen.deallocate()
        records.deallocate()
        rooms.deallocate()
        counts.deallocate()
        minimums.deallocate()
    }

    /// Whether it must be run before it takes another packet.
    @inline(__always) public var isFull: Bool { count == Self.capacity }

    /// Takes a packet, `position` being what the caller knows it by, unless it is full. What is authenticated is `count`
    /// bytes at `start`, and as many bytes of check value as the keys say lie or will lie behind them. The vector is in them,
    /// and the body, of whole blocks, from `bodyOffset` to their end. `salt` is for CTR, in the order of its bytes.
    @inline(__always)
    public func append(
        _ keys: borrowing BurstKeys, position: Int, start: UnsafeMutableRawPointer, count authenticated: Int,
        vectorOffset: Int, bodyOffset: Int, salt: UInt32, behind: UInt32?
    ) {
        precondition(count < Self.capacity)
        let job = jobs + count
        job.pointee.keys = keys.keys
        job.pointee.packet = start.assumingMemoryBound(to: UInt8.self)
        job.pointee.authenticated_length = UInt32(truncatingIfNeeded: authenticated)
        job.pointee.body_offset = UInt32(truncatingIfNeeded: bodyOffset)
        job.pointee.body_length = UInt32(truncatingIfNeeded: authenticated - bodyOffset)
        job.pointee.is_done = 0
        let vector = start + vectorOffset
        if keys.isCounter {
            // Salt, vector and the counter of the first block (RFC 3686 section 4).
            let block = rooms + (count * Room.length + Room.counterOffset)
            block.storeBytes(of: salt, as: UInt32.self)
            block.storeBytes(of: vector.loadUnaligned(as: UInt64.self), toByteOffset: 4, as: UInt64.self)
            block.storeBytes(of: UInt32(1).bigEndian, toByteOffset: 12, as: UInt32.self)
            job.pointee.vector = UnsafePointer(block.assumingMemoryBound(to: UInt8.self))
        } else {
            job.pointee.vector = UnsafePointer(vector.assumingMemoryBound(to: UInt8.self))
        }
        (records + count).initialize(
            to: Record(
                cipher: keys.cipher, authenticator: keys.authenticator, position: position, behind: behind ?? 0,
                hasBehind: behind != nil, checkLength: keys.checkLength, suite: keys.suite,
                isEncrypting: keys.isEncrypting, isChosen: false, isGood: false))
        counts[Int(keys.suite)] &+= 1
        count += 1
    }

    /// Runs all packets to their end. What was to be encrypted has its check value then; of what was to be decrypted
    /// ``isGood(_:)`` says whether it is authentic.
    public func run() {
        var chosenCount = 0
        if manager != nil {
            for index in 0..<count where counts[Int(records[index].suite)] >= minimums[Int(records[index].suite)] {
                chosen[chosenCount] = jobs + index
                chosenCount += 1
                records[index].isChosen = true
                if records[index].hasBehind { storeBehind(index) }
            }
        }
        if chosenCount > 0 {
            culvert_burst_run(manager, chosen, chosenCount)
            multiBufferCount &+= UInt64(chosenCount)
        }
        for index in 0..<count {
            counts[Int(records[index].suite)] = 0
            records[index].isGood = records[index].isChosen ? conclude(index) : runAlone(index)
        }
    }

    /// Forgets the packets.
    @inline(__always) public func removeAll() { count = 0 }

    /// What the caller knows the packet by that came as number `index`.
    @inline(__always) public func position(_ index: Int) -> Int { records[index].position }

    /// Whether the packet that came as number `index` is sealed, or authentic and decrypted.
    @inline(__always) public func isGood(_ index: Int) -> Bool { records[index].isGood }

    // MARK: - By the multi-buffer library

    /// Four bytes that do not travel stand behind the packet while the library reads it: where the check value will be, or
    /// is, so that nothing beyond the packet's own end is written.
    private func storeBehind(_ index: Int) {
        let check = check(index)
        if !records[index].isEncrypting {
            received(index).copyMemory(from: check, byteCount: Int(records[index].checkLength))
        }
        check.storeBytes(of: records[index].behind.bigEndian, as: UInt32.self)
        jobs[index].authenticated_length += UInt32(MemoryLayout<UInt32>.size)
    }

    /// Compares the code that the library made with the one that came, in constant time, or writes it.
    @inline(__always)
    private func conclude(_ index: Int) -> Bool {
        let length = Int(records[index].checkLength)
        guard jobs[index].is_done != 0, let code = jobs[index].code else { return false }
        if records[index].hasBehind { jobs[index].authenticated_length -= UInt32(MemoryLayout<UInt32>.size) }
        if records[index].isEncrypting {
            check(index).copyMemory(from: code, byteCount: length)
            return true
        }
        return CRYPTO_memcmp(code, records[index].hasBehind ? received(index) : check(index), length) == 0
    }

    /// Where the check value stands.
    @inline(__always)
    private func check(_ index: Int) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(jobs[index].packet) + Int(jobs[index].authenticated_length)
    }

    @inline(__always)
    private func received(_ index: Int) -> UnsafeMutableRawPointer {
        rooms + (index * Room.length + Room.receivedOffset)
    }

    // MARK: - By OpenSSL

    /// The same for one packet by OpenSSL, which decrypts only what is authentic.
    private func runAlone(_ index: Int) -> Bool {
        guard let code = jobs[index].code else { return false }
        if records[index].isEncrypting {
            guard runCipher(index), runAuthenticator(index) else { return false }
            check(index).copyMemory(from: code, byteCount: Int(records[index].checkLength))
            return true
        }
        guard runAuthenticator(index),
            CRYPTO_memcmp(code, check(index), Int(records[index].checkLength)) == 0
        else { return false }
        return runCipher(index)
    }

    private func runCipher(_ index: Int) -> Bool {
        culvert_cipher_in_place(
            records[index].cipher, jobs[index].vector, jobs[index].packet + Int(jobs[index].body_offset),
            Int32(truncatingIfNeeded: jobs[index].body_length)) == 1
    }

    private func runAuthenticator(_ index: Int) -> Bool {
        var behind = records[index].behind.bigEndian
        return withUnsafeBytes(of: &behind) {
            culvert_packet_mac_compute(
                records[index].authenticator, nil, 0, jobs[index].packet, Int(jobs[index].authenticated_length),
                $0.baseAddress?.assumingMemoryBound(to: UInt8.self), records[index].hasBehind ? 4 : 0,
                jobs[index].code) == 1
        }
    }
}
