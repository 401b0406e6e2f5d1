/// A value that does not change, in one piece of memory for all who have it: for what many have in common, and for what most
/// of those that could have it have not.
public final class Shared<Value: Sendable>: Sendable {
    /// The value.
    public let value: Value

    /// A piece of memory with `value` in it.
    public init(_ value: Value) { self.value = value }
}
