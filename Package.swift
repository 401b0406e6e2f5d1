// swift-tools-version: 6.2
import PackageDescription

/// What every room is built with: language mode 6, and spans that may be stored in a reader.
let room: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableExperimentalFeature("Lifetimes"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
    // Measured: within 3 % of C, where plain -O is 12 to 20 % behind. Bounds and overflow checks stay.
    .unsafeFlags(["-enforce-exclusivity=unchecked", "-cross-module-optimization"], .when(configuration: .release)),
]

let package = Package(
    name: "culvert",
    products: [],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    ],
    targets: [
        .target(
            name: "COpenSSL", cSettings: [.define("OPENSSL_SUPPRESS_DEPRECATED")],
            linkerSettings: [.linkedLibrary("crypto")]),
        // Links nothing: the library is looked for at run time, and where its header is missing there are only stubs.
        .target(name: "CIPsecMB", cSettings: [.define("_GNU_SOURCE")]),
        .target(name: "CLinux"),
        .systemLibrary(
            name: "CNetlink", pkgConfig: "libnl-route-3.0", providers: [.apt(["libnl-3-dev", "libnl-route-3-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "CNFTables", pkgConfig: "libnftables", providers: [.apt(["libnftables-dev"])]),

        .target(name: "Wire", swiftSettings: room),
        .target(name: "Cryptography", dependencies: ["Wire", "COpenSSL", "CIPsecMB"], swiftSettings: room),
        .target(name: "IKE", dependencies: ["Wire", "Cryptography"], swiftSettings: room),
        .target(name: "ESP", dependencies: ["Wire", "Cryptography", "CZlib"], swiftSettings: room),
        .target(name: "L2TP", dependencies: ["Wire", "Cryptography"], swiftSettings: room),
        .target(name: "PPP", dependencies: ["Wire", "Cryptography"], swiftSettings: room),
        .target(name: "Accounts", dependencies: ["Wire", "Cryptography"], swiftSettings: room),
        .target(
            name: "IO",
            dependencies: [
                "Wire", "CLinux", "CNetlink", "CNFTables",
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"), .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: room),

        .target(
            name: "Gateway",
            dependencies: [
                "Wire", "Cryptography", "IKE", "ESP", "L2TP", "PPP", "Accounts", "IO",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: room),
        .executableTarget(
            name: "culvert",
            dependencies: ["Gateway", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            swiftSettings: room),

        .target(name: "CBenchmark", path: "Benchmarks/CBenchmark"),
        .executableTarget(
            name: "culvert-bench",
            dependencies: [
                "CBenchmark", "Cryptography", "ESP", "Gateway", "IKE", "IO", "Wire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Benchmarks/culvert-bench", swiftSettings: room),

        .testTarget(name: "WireTests", dependencies: ["Wire"], swiftSettings: room),
        .target(
            name: "CertificateVectors", dependencies: ["Cryptography"], path: "Tests/CertificateVectors",
            swiftSettings: room),
        .testTarget(
            name: "CryptographyTests", dependencies: ["Cryptography", "Wire", "CertificateVectors"],
            swiftSettings: room),
        .testTarget(
            name: "IKETests",
            dependencies: ["IKE", "Wire", "Cryptography", "CertificateVectors", "CAllocationCounter"],
            swiftSettings: room),
        .testTarget(name: "ESPTests", dependencies: ["ESP", "Wire", "Cryptography"], swiftSettings: room),
        .testTarget(name: "L2TPTests", dependencies: ["L2TP", "Wire", "Cryptography"], swiftSettings: room),
        .testTarget(name: "PPPTests", dependencies: ["PPP", "Wire", "Cryptography"], swiftSettings: room),
        .testTarget(name: "AccountsTests", dependencies: ["Accounts", "Wire", "Cryptography"], swiftSettings: room),
        .target(
            name: "NetworkNamespaces", dependencies: ["IO", "CLinux"], path: "Tests/NetworkNamespaces",
            swiftSettings: room),
        .testTarget(
            name: "IOTests",
            dependencies: [
                "IO", "Wire", "CLinux", "CNFTables", "NetworkNamespaces",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: room),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "Gateway", "IKE", "ESP", "L2TP", "PPP", "Accounts", "Cryptography", "Wire", "CAllocationCounter",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: room),
        .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "Gateway", "IKE", "IO", "ESP", "L2TP", "PPP", "Cryptography", "Wire", "CAllocationCounter",
                "CertificateVectors", "NetworkNamespaces", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: room),
    ]
)
