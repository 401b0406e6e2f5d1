/// A dictionary whose values have a piece of memory each: for large values of many keys.
///
/// A dictionary keeps its values in its own table, of whose places up to two thirds are empty after it has grown, and moves
/// all of them when it does. Here such a place takes a key and a pointer. Copies of a table share what is not changed.
public struct RecordTable<Key: Hashable, Value> {
    fileprivate final class Record {
        /// Nil only while the value is being taken away.
        var value: Value?

        init(_ value: Value) { self.value = value }
    }

    private var records: [Key: Record] = [:]

    /// An empty table.
    public init() {}

    /// How many values there are.
    public var count: Int { records.count }

    /// Whether there is none.
    public var isEmpty: Bool { records.isEmpty }

    /// All keys, in no order.
    public var keys: some Collection<Key> { records.keys }

    /// All values, in no order.
    public var values: Values { Values(records: records) }

    /// The value of `key`, which may be changed in place, set, or taken away by nil.
    public subscript(key: Key) -> Value? {
        get { records[key]?.value }
        set {
            guard let newValue else { return records[key] = nil }
            if let record = ownRecord(key) { record.value = newValue } else { records[key] = Record(newValue) }
        }
        _modify {
            if let record = ownRecord(key) {
                yield &record.value
                if record.value == nil { records[key] = nil }
            } else {
                var value: Value?
                yield &value
                if let value { records[key] = Record(value) }
            }
        }
    }

    /// Takes the value of `key` away, if there is one.
    @discardableResult
    public mutating func removeValue(forKey key: Key) -> Value? { records.removeValue(forKey: key)?.value }

    /// Changes the value of `key` in place; nil where there is none.
    @discardableResult
    public mutating func change<Result>(_ key: Key, _ body: (inout Value) -> Result) -> Result? {
        guard let record = ownRecord(key), var value = record.value.take() else { return nil }
        defer { record.value = value }
        return body(&value)
    }

    /// The record of `key`, which no copy of the table shares.
    private mutating func ownRecord(_ key: Key) -> Record? {
        guard let index = records.index(forKey: key) else { return nil }
        if !isKnownUniquelyReferenced(&records.values[index]), let value = records.values[index].value {
            records.values[index] = Record(value)
        }
        return records.values[index]
    }

    /// All values of a table.
    public struct Values: Sequence, IteratorProtocol {
        fileprivate var records: Dictionary<Key, Record>.Values.Iterator

        fileprivate init(records: [Key: Record]) { self.records = records.values.makeIterator() }

        /// The next value.
        public mutating func next() -> Value? { records.next()?.value }

        /// Any of them.
        public var first: Value? {
            var copy = self
            return copy.next()
        }
    }
}

// A record is changed only where one table alone has it.
extension RecordTable: @unchecked Sendable where Key: Sendable, Value: Sendable {}
