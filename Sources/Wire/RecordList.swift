/// An array whose values have a piece of memory each: it grows by the length of a pointer for each of them, and moves none.
/// Copies of a list share what is not changed.
public struct RecordList<Value> {
    private final class Record {
        var value: Value

        init(_ value: Value) { self.value = value }
    }

    private var records: [Record] = []

    /// An empty list.
    public init() {}

    /// Puts a value at the end.
    public mutating func append(_ value: Value) { records.append(Record(value)) }
}

extension RecordList: RandomAccessCollection, MutableCollection {
    /// The first position.
    public var startIndex: Int { 0 }
    /// The position behind the last.
    public var endIndex: Int { records.count }

    /// The value at a position.
    public subscript(position: Int) -> Value {
        get { records[position].value }
        set { ownRecord(position).value = newValue }
        _modify { yield &ownRecord(position).value }
    }

    private mutating func ownRecord(_ position: Int) -> Record {
        if !isKnownUniquelyReferenced(&records[position]) { records[position] = Record(records[position].value) }
        return records[position]
    }
}

// A record is changed only where one list alone has it.
extension RecordList: @unchecked Sendable where Value: Sendable {}
