/// Whole ESP packets of other implementations, some of them with more than a document publishes.
extension PublishedPackets {
    /// AES-CCM, integrity check values of 16 bytes: Linux's cases of `rfc4309(ccm(aes))` in crypto/testmgr.h that look like
    /// ESP packets with sequence numbers of 32 bits. The first eight bytes are what is authenticated beside the body.
    static let ccm: [PublishedPacket] = [
        PublishedPacket(
            key: hex("feffe9928665731c6d6a8f9467308308feffe9928665731c"),
            salt: hex("cafeba"),
            packet: hex(
                """
                0000a5f80000000afacedbaddecaf888052215d152568504a85c5d6d7e6ef5faea163750f3df843b2f321857342a8c23
                67df6d357b540dfb34a59f6c48301e22feb12217178ab95b
                """),
            payload: hex(
                """
                45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d07568
                """),
            nextHeader: 1),
        PublishedPacket(
            key: hex("7d773d00c144c525ac619d18c84a3f47"),
            salt: hex("d96642"),
            packet: hex("335467aeffffffff43457e9182443bc64c7263302fe656ddd0d8609d8bef8590f7612462"),
            payload: hex(""),
            nextHeader: 1),
    ]

    /// The same with extended sequence numbers, whose high half does not travel: it stands beside the packet.
    static let ccmExtended: [(high: UInt32, packet: PublishedPacket)] = [
        (
            0x10101010,
            PublishedPacket(
                key: hex("3de09874b388e6491988d0c3607eae1f"),
                salt: hex("57690e"),
                packet: hex(
                    """
                    42f67e3f101010104e280000a2fca1a36a6b452b7c6752f6106040626b4f978e0bb22297cb21e090a2e7d14130e44b1b
                    790158500106e1e02c8379d3de46971a30b8e5dfd7125675d095b7b89142f7fd9757cac120d086b9669db42b9622ac67
                    """),
                payload: hex(
                    """
                    4500003c99c300008001cb7c40679318010101010800085c020043006162636465666768696a6b6c6d6e6f7071727374
                    757677616263646566676869
                    """),
                nextHeader: 1)
        ),
        (
            0x00000000,
            PublishedPacket(
                key: hex("abbccddef00112233445566778899aab"),
                salt: hex("decaf8"),
                packet: hex(
                    """
                    0000010000000001cafedebaceface7492d053793338d5f37de47a8e8603c9909635ab9cfbe8a376e9e9e2d12e110e00
                    faceb59e02a77bea719a58fba58ae1b79c399de3b56e69e663c9db05695112ad3e00327386f2eef50fe8817e84d3c00d
                    76d655c6b4c234c712250bf9
                    """),
                payload: hex(
                    """
                    4500004933ba00007f119106c3fb1d10c2b1d326c02831ce0035dd7b800302d500004e20001e8c18d75b81dc91baa047
                    6b91b924b280389d92c963bac046ec959b6266c04722b14923
                    """),
                nextHeader: 1)
        ),
        (
            0x156f3126,
            PublishedPacket(
                key: hex("abbccddef00112233445566778899aababbccddef00112233445566778899aab"),
                salt: hex("73616c"),
                packet: hex(
                    """
                    17405e67dd0db99b616e640169766563cc74b7d3b03850422c6487461e341005296bbb36e969ad9282a1106aeb0fdc7d
                    08baf391caaa61da62f414615c9db5a7eed7b97e87999b7d
                    """),
                payload: hex(
                    """
                    45080028732c00004006e9f90a0106120a01038f06b88023dd6bafbecb71260250101f646d54
                    """),
                nextHeader: 1)
        ),
        (
            0xffffffff,
            PublishedPacket(
                key: hex("6c6567616c697a656d6172696a75616e61616e64646f69746265666f72656961"),
                salt: hex("747572"),
                packet: hex(
                    """
                    796b6963ffffffff333021696765746d96fd86f8d198ff10ab8cda8a5a08381a485980181a181a04c90de3e70ea40b75
                    929c525c0bfbf8af16c335a8e7ce8404eb406b7a8e75bb42e0634b2144a22b2b39dbc8dc
                    """),
                payload: hex(
                    """
                    45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f7071727374
                    """),
                nextHeader: 1)
        ),
        (
            0x87654321,
            PublishedPacket(
                key: hex("4c80cdefbb5d10da906ac73c3613a634"),
                salt: hex("22433c"),
                packet: hex(
                    """
                    00004321000000074855ec7d3a234bfd67e928b31ca46d02f0b537b66b2ff54ff8a34c53b81209bf587dcf29a341686b
                    cee879853cb03a8f16b0a126c9bcbca6
                    """),
                payload: hex("0800c6cd020007006162636465666768696a6b6c6d6e6f7071727374"),
                nextHeader: 1)
        ),
    ]

    /// Triple DES and HMAC-MD5-96 of FreeS/WAN, tunnel mode: the first packets of tests/02-sunrise-sunset-esp.pcap in
    /// tcpdump, where the cipher's key stands beside it; the other one is that of the KLIPS test scripts.
    static let tripleDESAndMD5: [PublishedPacket] = [
        PublishedPacket(
            key: hex("4043434545464649494a4a4c4c4f4f515152525454575758"),
            packet: hex(
                """
                12345678000000014c20452f3cb09211d3a748cde5c811e39c4ee83cfe96a1e42acfd2b87aab05d1642ba3af9c1bc342
                102c40ad15df4de0200a63638734711187d412093b83bfaa43191cbd84a45b0276338399b1f5ca17cc9254457e590655
                1a7041e3dc9176e86fd3ffdd00b0bc11f8103097
                """),
            payload: hex(
                """
                45000054000040003f01b8a6c0000201c00001010800baf06f000500239bc73bf234010008090a0b0c0d0e0f10111213
                1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637
                """),
            nextHeader: 4),
        PublishedPacket(
            key: hex("4043434545464649494a4a4c4c4f4f515152525454575758"),
            packet: hex(
                """
                12345678000000021a7041e3dc9176e87312af1b62823b9f1c2fa7a9c75a90d4002cedbea874a1ac9387e31fe20a261a
                ec587f2ebed6af3487e32ef5b803320a2ab07fef4eead0cfec4243457f8190263fee2e9e9f553a2845e90ae13529ea94
                5df8cd51ba5e0c01562c3405f645d5e631fd2baf
                """),
            payload: hex(
                """
                45000054000040003f01b8a6c0000201c0000101080072f06f000600289bc73b3435010008090a0b0c0d0e0f10111213
                1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637
                """),
            nextHeader: 4),
    ]

    /// The key of ``tripleDESAndMD5``'s check values.
    static let md5Key = hex("87658765876587658765876587658765")

    /// AES with 256 bits and HMAC-SHA-1-96 of FreeS/WAN: the first packets of tests/08-sunrise-sunset-aes.pcap in tcpdump.
    static let aesAndSHA1: [PublishedPacket] = [
        PublishedPacket(
            key: hex("aaaabbbbccccdddd4043434545464649494a4a4c4c4f4f515152525454575758"),
            packet: hex(
                """
                d123456700000001e6bb1ce8d0a88170da61de234d5618a09984c00c3ebcfc69e9287affec215449ffbe790ac7280eca
                8f6c88b125deca11c870e4f851342d20200ff1189cc18c910a5f37e74f1528f26749bf998bc20cc645117e2bdcc9ba0b
                0ad3a80168619ac66eb4b070d771e65f6077ea5366bf3bd88b5b5cbcd1e4d990b76e85b1
                """),
            payload: hex(
                """
                45000054000040003f01b8a6c0000201c00001010800baf06f000500239bc73bf234010008090a0b0c0d0e0f10111213
                1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637
                """),
            nextHeader: 4),
        PublishedPacket(
            key: hex("aaaabbbbccccdddd4043434545464649494a4a4c4c4f4f515152525454575758"),
            packet: hex(
                """
                d1234567000000026eb4b070d771e65f6077ea5366bf3bd84468935647b0c5a2dab3be894f655b1e4669f4dfd099df0b
                2cf56f806af7d5f325c00c2ac073e6ffb2d77c9f065a6ab77d5d5625105b9b0da40f6cac0f9b353148ba5e43c80cf477
                751075a2bbb442980dcaf8251660380394fd5e64f9ad9b9e04de027b34ac857a8f30a28e
                """),
            payload: hex(
                """
                45000054000040003f01b8a6c0000201c0000101080072f06f000600289bc73b3435010008090a0b0c0d0e0f10111213
                1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637
                """),
            nextHeader: 4),
    ]

    /// The key of ``aesAndSHA1``'s check values.
    static let sha1Key = hex("8765876587658765876587658765876587658765")

    /// Triple DES of FreeS/WAN without integrity: enc_esp_packet2 in embedded IPsec's src/testing/structural/esp_test.c. Its
    /// key is one of DES three times, so that it is a packet of DES-CBC, too.
    static let tripleDES = PublishedPacket(
        key: hex("012345670123456701234567012345670123456701234567"),
        packet: hex(
            """
            000010060000000187c5ba8c6f31ee1efbce75d2d416258a92b86309bb887e10502b232ff651f22b82aae5d35d4cfbcf
            87fbad9f281dff90dd436b04bcfbd44736bc242071004407c249eb4826a4a787
            """),
        payload: hex(
            """
            4500003c58df400040065e61c0a80128c0a80103800a00504767c8d100000000a0027eb8eb81000002043f5c0402080a
            0007900e0000000001030300
            """),
        nextHeader: 4)
}
