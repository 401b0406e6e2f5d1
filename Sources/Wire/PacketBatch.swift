/// The outer addresses that a packet came from and to, or goes to and from.
public struct OuterPath: Hashable, Sendable {
    /// The other end: address and UDP port, port 0 where the packet is IP protocol 50 or 51 without UDP.
    public var remote: Endpoint
    /// Our own address.
    public var local: IPAddress

    /// The path between `local` and `remote`.
    @inlinable public init(remote: Endpoint, local: IPAddress) { (self.remote, self.local) = (remote, local) }

    /// No path: both ends are 0.0.0.0.
    public static let none = OuterPath(remote: Endpoint(.any, 0), local: .v4(.any))
}

/// What a packet's outer IP header had beside the addresses, or is to have.
public struct OuterFields: Hashable, Sendable {
    /// DSCP and ECN (RFC 2474, RFC 3168): as received, or as to be sent.
    public var trafficClass: UInt8 = 0
    /// How many bytes right before the packet's start are its IP header, still as it was received; 0 where it is not there.
    public var headerLength: UInt8 = 0
    /// Whether the packet that is to be sent must not be fragmented on its way.
    public var doNotFragment = false
    /// Whether the packet was put together of fragments: its sender cannot be asked for smaller ones.
    public var isReassembled = false
    /// Whether the packet that is to be sent begins with its own IP header, which AH has authenticated.
    public var bringsHeader = false

    /// Nothing special.
    @inlinable public init() {}
}

/// A packet where it lies: a view into a slot of a ``PacketBatch``.
///
/// Taking a header off and putting one on move `start` and `count`; nothing is copied between receive and send. The
/// owner of the batch guarantees that the memory outlives the view.
public struct Packet {
    /// The first byte.
    public var start: UnsafeMutableRawPointer
    /// How many bytes, from `start` on.
    public var count: Int
    /// Where it came from, or where it goes.
    public var path: OuterPath
    /// What else its outer header says.
    public var outer = OuterFields()

    /// The packet of `count` bytes at `start`.
    @inlinable public init(start: UnsafeMutableRawPointer, count: Int, path: OuterPath) {
        (self.start, self.count, self.path) = (start, count, path)
    }

    /// The bytes, for a parser.
    @inlinable public var span: RawSpan {
        @_lifetime(borrow self) get {
            let bytes = UnsafeRawBufferPointer(start: start, count: count)
            return _overrideLifetime(bytes.bytes, borrowing: self)
        }
    }

    /// Takes `length` bytes off the front. The caller has checked that they are there.
    @inlinable public mutating func removeFirst(_ length: Int) {
        start += length
        count -= length
    }

    /// Puts `length` bytes of headroom in front, to be written by the caller, who knows that the headroom is there.
    @inlinable public mutating func prepend(_ length: Int) {
        start -= length
        count += length
    }

    /// The byte at `offset`.
    @inlinable public func byte(at offset: Int) -> UInt8 { start.load(fromByteOffset: offset, as: UInt8.self) }

    /// The two bytes at `offset`, most significant first.
    @inlinable public func uint16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// The four bytes at `offset`, most significant first.
    @inlinable public func uint32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: start.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// Writes one byte at `offset`.
    @inlinable public func store(_ value: UInt8, at offset: Int) {
        start.storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
    }

    /// Writes two bytes at `offset`, most significant first.
    @inlinable public func store(_ value: UInt16, at offset: Int) {
        start.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }

    /// Writes four bytes at `offset`, most significant first.
    @inlinable public func store(_ value: UInt32, at offset: Int) {
        start.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }
}

/// A batch of packets and the memory that they lie in: slots of equal size, each with room in front for the headers that
/// we add and room behind for padding and the integrity check value. Made once per worker, used for ever.
public struct PacketBatch: ~Copyable {
    /// Room in front of a received packet: outer IPv6 40, AH 48 or UDP 8, ESP 8, IV 16, in tunnel mode inner IPv6 40, UDP 8,
    /// L2TP 14, PPP 4, and to spare.
    public static let headroom = 192
    /// Room behind: ESP padding up to 255, its 2 trailer bytes, an ICV of up to 32, and to spare.
    public static let tailroom = 320

    /// How many slots there are.
    public let capacity: Int
    /// The most bytes that a received packet may have.
    public let packetSizeMaximum: Int
    /// How many packets the batch holds now.
    @inlinable public var count: Int {
        get { held }
        set {
            held = newValue
            if touched < newValue { touched = newValue }
        }
    }

    @usableFromInline var held: Int
    /// What ``reset()`` has to put back.
    @usableFromInline var touched = 0
    @usableFromInline let memory: UnsafeMutableRawPointer
    @usableFromInline let packets: UnsafeMutablePointer<Packet>
    @usableFromInline let slotSize: Int

    /// Memory for `capacity` packets of at most `packetSizeMaximum` bytes.
    public init(capacity: Int, packetSizeMaximum: Int) {
        self.capacity = capacity
        self.packetSizeMaximum = packetSizeMaximum
        slotSize = (Self.headroom + packetSizeMaximum + Self.tailroom + 63) & ~63
        memory = .allocate(byteCount: slotSize * capacity, alignment: 64)
        packets = .allocate(capacity: capacity)
        held = 0
        for index in 0..<capacity {
            packets.advanced(by: index).initialize(to: Packet(start: memory, count: 0, path: .none))
        }
        touched = capacity
        reset()
    }

    deinit {
        memory.deallocate()
        packets.deallocate()
    }

    /// Empties the batch: every packet begins at its slot's headroom again, with no bytes.
    @inlinable public mutating func reset() {
        held = 0
        for index in 0..<touched {
            packets[index].start = memory + (index * slotSize + Self.headroom)
            packets[index].count = 0
            packets[index].outer = OuterFields()
        }
        touched = 0
    }

    /// Gives the packet at `index` the headroom and tailroom of a slot, where it is only a view into what the system has put
    /// together of several: those before and behind it stand close by.
    @inlinable public func moveIntoSlot(_ index: Int) {
        precondition(index >= 0 && index < capacity && packets[index].count <= packetSizeMaximum)
        let start = packets[index].start
        guard start < memory || start >= memory + slotSize * capacity else { return }
        let slot = slotStart(index)
        slot.copyMemory(from: start, byteCount: packets[index].count)
        packets[index].start = slot
    }

    /// Where the packet at `index` begins after ``reset()``, with room for ``packetSizeMaximum`` bytes.
    @inlinable public func slotStart(_ index: Int) -> UnsafeMutableRawPointer {
        precondition(index >= 0 && index < capacity)
        return memory + (index * slotSize + Self.headroom)
    }

    /// The packet at `index`, below `capacity`.
    @inlinable public subscript(index: Int) -> Packet {
        // No coroutine for reading: where it is not inlined, as without optimization, its frame is allocated.
        get { precondition(index >= 0 && index < capacity); return packets[index] }
        nonmutating _modify { precondition(index >= 0 && index < capacity); yield &packets[index] }
    }
}
