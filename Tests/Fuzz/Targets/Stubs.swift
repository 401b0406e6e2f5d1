enum PacketPathFuzz { static func run(_ i: Script) {}; static var seeds: [(name: String, bytes: [UInt8])] { [] } }
