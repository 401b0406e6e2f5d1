// swift-tools-version: 6.2
import PackageDescription

/// The rooms under fuzzing, built a second time: with the sanitizers' instrumentation, with every exclusivity check, and
/// without what no target needs (NIO, netlink, the executable). `Linked` leads to the rooms' own sources and to the
/// doubles of their tests; nothing is copied.
let room: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableExperimentalFeature("Lifetimes"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .unsafeFlags(["-enable-testing", "-parse-as-library"]),
]

let package = Package(
    name: "culvert-fuzz",
    products: [.library(name: "FuzzTargets", type: .static, targets: ["FuzzTargets"])],
    targets: [
        .target(
            name: "COpenSSL", path: "Linked/Rooms/COpenSSL", cSettings: [.define("OPENSSL_SUPPRESS_DEPRECATED")]),
        .target(name: "CIPsecMB", path: "Linked/Rooms/CIPsecMB", cSettings: [.define("_GNU_SOURCE")]),
        .systemLibrary(name: "CZlib", path: "Linked/Rooms/CZlib", pkgConfig: "zlib"),
        .target(name: "Wire", path: "Linked/Rooms/Wire", swiftSettings: room),
        .target(
            name: "Cryptography", dependencies: ["Wire", "COpenSSL", "CIPsecMB"], path: "Linked/Rooms/Cryptography",
            swiftSettings: room),
        .target(name: "IKE", dependencies: ["Wire", "Cryptography"], path: "Linked/Rooms/IKE", swiftSettings: room),
        .target(
            name: "ESP", dependencies: ["Wire", "Cryptography", "CZlib"], path: "Linked/Rooms/ESP", swiftSettings: room),
        .target(name: "L2TP", dependencies: ["Wire", "Cryptography"], path: "Linked/Rooms/L2TP", swiftSettings: room),
        .target(name: "PPP", dependencies: ["Wire", "Cryptography"], path: "Linked/Rooms/PPP", swiftSettings: room),
        // The packet path alone: it makes no system call, so it needs neither IO nor what configuration needs.
        .target(
            name: "Gateway", dependencies: ["Wire", "Cryptography", "ESP", "L2TP", "PPP"],
            path: "Linked/Rooms/Gateway/DataPlane",
            sources: [
                "Entries.swift", "IKEPort.swift", "PacketPath.swift", "PacketPath+Clear.swift",
                "PacketPath+Commands.swift",
                "PacketPath+Tunnels.swift", "PacketPath+Waiting.swift", "PacketPathDrop.swift", "RouteTable.swift",
                "SlotTable.swift", "TokenBucket.swift",
                "TunnelTable.swift", "WorkerMessages.swift",
            ],
            swiftSettings: room),
        .target(
            name: "CertificateVectors", dependencies: ["Cryptography"], path: "Linked/Certificates",
            swiftSettings: room),
        // The name that the double's own code knows its module by.
        .target(
            name: "IKETests", dependencies: ["IKE", "Wire", "Cryptography", "CertificateVectors"],
            path: "Linked/IKE-doubles", sources: ["Support"], swiftSettings: room),
        .target(
            name: "L2TPTests", dependencies: ["L2TP", "Wire", "Cryptography"], path: "Linked/L2TP-doubles",
            sources: ["Messages.swift"], swiftSettings: room),
        .target(
            name: "PPPTests", dependencies: ["PPP", "Wire", "Cryptography"], path: "Linked/PPP-doubles",
            sources: ["Bench.swift"], swiftSettings: room),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "Wire", "Cryptography", "IKE", "ESP", "L2TP", "PPP", "Gateway", "IKETests", "L2TPTests", "PPPTests",
            ],
            path: "Targets", swiftSettings: room),
    ]
)
