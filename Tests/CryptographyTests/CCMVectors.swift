/// Published cases of AES-CCM with nonces of 11 bytes, as ESP has them (RFC 4309): salt and vector. A case's tag is as long as
/// the integrity check value that it was made with, since CCM authenticates its length (RFC 3610 section 2.2).
enum CCMVectors {
    /// NIST's, by which a laboratory tests (CAVP): as Linux has them in crypto/testmgr.h, and strongSwan in its test
    /// vectors.
    static let nist = vectors(
        """
        key = 83ac5466c2ebe5052e01d1fc5d82662e
        nonce = 96ac593007a1e2a2c75524
        associated =
        plaintext = 19c881f6e986ff930b7867e5bbb7fc6e8377b3a60c8c9f9c352eade062f991a1
        ciphertext = ab6fe1691d1999a892a0c46f7ee28bb170bb8ca64c6e978a572bbe5d98a6b132
        tag = da24ead9a13998fda4bed9f21a6d22a8

        key = 1e2c7e01419aefc00d58966e5ca24bd3
        nonce = 4fa319d3015ad830601556
        associated = dae6289c452dfd635eda4cb6e6fcf9b70c56cbe4e0057ae10a630978bc2c55de
        plaintext = 87a336fd96b39378a92863ba12a31485571e06c97b21ef767f387e8e29a43e7e
        ciphertext = 8a1e11f0026be219fc70c46d8eb799abc54ba2acd3f348ff3bb5ce53efdebb02
        tag = a986156c13feda0a22b8293dd8399a23

        key = f46bc27562feb4e1a3f0ffdd4e4b1275531473668d88f680
        nonce = a0203526f2218d5020dae2
        associated = 5b9e1367025eefc16cf9d71e528f7a47e9d4cf20146ef02dd89e2b56102356e7
        plaintext =
        ciphertext =
        tag = 36ea7a7008dc6abcad0c7a63f661fd9b

        key = 56df5c8f263f0e42ef7ad3cefc846062cab440af5fc9c901
        nonce = d63c8c8684b6cdef092e94
        associated = 0265783ce9213091b1b9da769a786d95f28832a3f250cb4ce300736984698779
        plaintext = 9fd2024b5249313c43693a2d8e70ad7ee0e54609808913b28c8bd93f86fbb56b
        ciphertext = 39df7c3c5a29b9625d51c216d8bd069f9b6a0970c15183c266881d4f9adae01e
        tag = c7791158e56b20407aea46428be46fe1

        key = e08d997160d7971abd0199d58adf713ad3df244b5e3d4b4e307ab9d8530a5e2b
        nonce = 1e2991ad8ec1530acf2dbe
        associated = 19b61f57c4f3f08b782b9402290f42276b75cb9834087e79e43e490d848b2287
        plaintext = e1d9d813eb3a753f9dbd5f66bedcbb66bf1799624a39271f1ddc24ae192f984c
        ciphertext = 19b86133452b43966f51d020307d9bc6263df8c96516a89ff0621734f21e8d75
        tag = 4e13ccc0c32a542d

        key = 7cc8183b8d99e07c4541b8bd5ca7c2328ab80259a4fea92c09759a9b3c9b2739
        nonce = f9d94e63b53d9d43f61e50
        associated = 57f56b8b575c3d3b1302010c834c96358ed639cf7d149b94b03936e68f57e013
        plaintext = 3b6c2936b6ef07a68372074fcffa66895fcab1bad58f2c2730db750993d465e4
        ciphertext = b0885a33aae5c71d8523c7c62ff41e3dcc63442507784f9e96b888ebbc481f06
        tag = 39af39acd84a80397b728af7

        key = abd0e9330726e5838c7695d4b6dcf346f98fade3021383773fb0f1a1a1220f2b
        nonce = 24a78b07cbcc0ee633bff5
        associated = d4db301d03fefd5f87d48cb6b6f17a5dab90658d8eca4d4f160c40904bc73673
        plaintext = f5c67d48c1b7e692975acac4a96df93d6cdebcf190ea6ab2358636af5cfe4b3a
        ciphertext = 836f408772cfc113efbb8021046c5809071bfcdfc03f5bc7e079a86e717c3fcf
        tag = 5cdab233e513e20d74d1efb50f3ab5f8

        key = ab2f8a74b71cd2b1ff802e487d82f8b9
        nonce = af9487783582817f889468
        associated =
        plaintext =
        ciphertext =
        tag = 413cb88773cbf3f3

        key = 39bba7be59979e73a2bc6b98d7757fe3a448933926714ac6
        nonce = ee4983e9a9ffe957bafd9e
        associated = 44a62c05e9e143b1587cf25c6d390a64a4f01305d177996711c4c6db00563661
        plaintext =
        ciphertext =
        tag = 7199faf44412689b

        key = a44b54290ab86d015b802acf25c4b75c202cad30c22b41fb0e85bc33ad0f2bff
        nonce = ee4983e9a9ffe957bafd9e
        associated =
        plaintext =
        ciphertext =
        tag = 1fb88fa3dd5400f2

        key = 585da096651a04d796e5c568aa9535e029a0ba9e4878d1ba
        nonce = ee4983e9a9ffe957bafd9e
        associated = 44a62c05e9e143b1587cf25c6d390a64a4f01305d177996711c4c6db00563661
        plaintext = 85346642c8920f3658e06b913c985cbb0a85cc02ad7a96e96543a4c30fdc5581
        ciphertext = fbe55d34bee5e8e75aef2fbf1f7fd4b266ca611e967a61b31c164552ba049c9f
        tag = b1d240bc527c6fb1
        """)

    /// strongSwan's own, libstrongswan/plugins/test_vectors/test_vectors/aes_ccm.c, 12 to 16: lengths that are no multiple
    /// of a block, and tags of 12 bytes with the shorter keys.
    static let strongSwan = vectors(
        """
        key = 585da096651a04d796e5c568aa9535e029a0ba9e4878d1ba
        nonce = ee4983e9a9ffe957bafd9e
        associated = 44a62c05e9e143b1587cf25c6d390a64a4f01305d177996711c4c6
        plaintext = 85346642c8920f3658e06b913c985cbb0a85cc02ad7a96e96543a4c30fdc5581
        ciphertext = fbe55d34bee5e8e75aef2fbf1f7fd4b266ca611e967a61b31c164552ba049c9f
        tag = 240ed1a54074c84e

        key = 585da096651a04d796e5c568aa9535e029a0ba9e4878d1ba
        nonce = ee4983e9a9ffe957bafd9e
        associated = 44a62c05e9e143b1587cf25c6d390a64a4f01305d177996711c4c6db00563661
        plaintext = 85346642c8920f3658e06b913c985cbb0a85cc02ad7a96e96543a4
        ciphertext = fbe55d34bee5e8e75aef2fbf1f7fd4b266ca611e967a61b31c1645
        tag = a6e93ca8504e6297

        key = 585da096651a04d796e5c568aa9535e029a0ba9e4878d1ba
        nonce = ee4983e9a9ffe957bafd9e
        associated = 44a62c05e9e143b1587cf25c6d390a64a4f01305d177996711c4c6
        plaintext = 85346642c8920f3658e06b913c985cbb0a85cc02ad7a96e96543a4
        ciphertext = fbe55d34bee5e8e75aef2fbf1f7fd4b266ca611e967a61b31c1645
        tag = 11031648fbb7def1

        key = 7cc8183b8d99e07c4541b8bd5ca7c232
        nonce = 8ab80263b53d9d43f61e50
        associated = 57f56b8b575c3d3b1302010c834c96358ed639cf7d149b94b03936e68f57e013
        plaintext = 3b6c2936b6ef07a68372074fcffa66895fcab1bad58f2c2730db750993d465e4
        ciphertext = 2b94711ad32821e5e2eb75e809989c0ac9ea3ee43af9714c4f16731da510935b
        tag = 83cddd30b93f86b314bb7d81

        key = 7cc8183b8d99e07c4541b8bd5ca7c2328ab80259a4fea92c
        nonce = f9d94e63b53d9d43f61e50
        associated = 57f56b8b575c3d3b1302010c834c96358ed639cf7d149b94b03936e68f57e013
        plaintext = 3b6c2936b6ef07a68372074fcffa66895fcab1bad58f2c2730db750993d465e4
        ciphertext = 481960bb65a800b826f17f161f3cfc6d866210c551cfef74acc6df28ac366fa0
        tag = 3a382450680f401eafea4216
        """)
}
