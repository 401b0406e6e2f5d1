/// The version of this gateway.
public let culvertVersion = "0.1.0"
