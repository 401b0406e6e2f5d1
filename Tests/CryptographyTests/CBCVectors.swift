/// CBC as the RFC and NIST publish it.
enum CBCVectors {
    /// AES-128, RFC 3602 section 4 cases 1 to 4.
    static let rfc3602 = vectors(
        """
        key = 06a9214036b8a15b512e03d534120006
        iv = 3dafba429d9eb430b422da802c9fac41
        plaintext = 53696e676c6520626c6f636b206d7367
        ciphertext = e353779c1079aeb82708942dbe77181a

        key = c286696d887c9aa0611bbb3e2025a45a
        iv = 562e17996d093d28ddb3ba695a2e6f58
        plaintext = 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
        ciphertext = d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1

        key = 6c3ea0477630ce21a2ce334aa746c2cd
        iv = c782dc4c098c66cbd9cd27d825682c81
        plaintext = 5468697320697320612034382d62797465206d657373616765202865786163746c79203320414553
            20626c6f636b7329
        ciphertext = d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c
            8579695d83ba2684

        key = 56e47a38c5598974bc46903dba290349
        iv = 8ce82eefbea0da3c44699ed7db51b7d9
        plaintext = a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7
            c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf
        ciphertext = c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf
            868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55
        """)

    /// AES-128, -192, -256, NIST SP 800-38A F.2.1, F.2.3 and F.2.5.
    static let sp80038a = vectors(
        """
        key = 2b7e151628aed2a6abf7158809cf4f3c
        iv = 000102030405060708090a0b0c0d0e0f
        plaintext = 6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411
            e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710
        ciphertext = 7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b273bed6b8e3c1743b
            7116e69e222295163ff1caa1681fac09120eca307586e1a7

        key = 8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b
        iv = 000102030405060708090a0b0c0d0e0f
        plaintext = 6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411
            e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710
        ciphertext = 4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a571b242012fb7ae0
            7fa9baac3df102e008b0e27988598881d920a9e64f5615cd

        key = 603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4
        iv = 000102030405060708090a0b0c0d0e0f
        plaintext = 6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411
            e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710
        ciphertext = f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d39f23369a9d9bacf
            a530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b
        """)

    /// Triple DES with three keys, NIST CAVS TCBCMMT3.
    static let tripleDES = vectors(
        """
        key = b5cb1504802326c73df186e3e352a20de643b0d63ee30e37
        iv = 43f791134c5647ba
        plaintext = dcc153cef81d6f24
        ciphertext = 92538bd8af18d3ba

        key = a49d7564199e97cb529d2c9d97bf2f98d35edf57ba1f7358
        iv = c2e999cb6249023c
        plaintext = c689aee38a301bb316da75db36f110b5
        ciphertext = e9afaba5ec75ea1bbe65506655bb4ecb

        key = 1a5d4c0825072a15a8ad9dfdaeda8c048adffb85bc4fced0
        iv = 7fcfa736f7548b6f
        plaintext = 983c3edacd939406010e1bc6ff9e12320ac5008117fa8f84
        ciphertext = d84fa24f38cf451ca2c9adc960120bd8ff9871584fe31cee

        key = d98aadc76d4a3716158c32866efbb9ce834af2297379a49d
        iv = 3c5220327c502b44
        plaintext = 6174079dda53ca723ebf00a66837f8d5ce648c08acaa5ee45ffe62210ef79d3e
        ciphertext = f5bd4d600bed77bec78409e3530ebda1d815506ed53103015b87e371ae000958

        key = ef6d3e54266d978ffb0b8ce6689d803e2cd34cc802fd0252
        iv = 38bae5bce06d0ad9
        plaintext = c4f228b537223cd01c0debb5d9d4e12ba71656618d119b2f8f0af29d23efa3a9e43c4c458a1b79a0
        ciphertext = 9e3289fb18379f55aa4e45a7e0e6df160b33b75f8627ad0954f8fdcb78cee55a4664caeda1000fe5

        key = 625bc19b19df83abfb2f5bec9d4f2062017525a75bc26e70
        iv = bd0cff364ff69a91
        plaintext = 8152d2ab876c3c8201403a5a406d3feaf27319dbea6ad01e24f4d18203704b86de70da6bbb6d638e
            5aba3ff576b79b28
        ciphertext = 706fe7a973fac40e25b2b4499ce527078944c70e976d017b6af86a3a7a6b52943a72ba18a58000d2
            b61fdc3bfef2bc4a

        key = b6383176046e6880a1023bf45768b5bf5119022fe054bfe5
        iv = ec13ca541c43401e
        plaintext = cd5a886e9af011346c4dba36a424f96a78a1ddf28aaa4188bf65451f4efaffc7179a6dd237c0ae35
            d9b672314e5cb032612597f7e462c6f3
        ciphertext = b030f976f46277ee211c4a324d5c87555d1084513a1223d3b84416b52bbc28f4b77f3a9d8d0d91dc
            37d3dbe8af8be98f74674b02f9a38527

        key = 3d8cf273d343b9aedccddacb91ad86206737adc86b4a49a7
        iv = bb3a9a0c71c62ef0
        plaintext = 1fde3991c32ce220b5b6666a9234f2fd7bd24b921829fd9cdc6eb4218be9eac9faa9c23517773491
            28086b6d58776bc86ff2f76ee1b3b2850a318462b8983fa1
        ciphertext = 422ce705a46bb52ad928dab6c863166d617c6fc24003633120d91918314bbf464cea7345c3c35f20
            42f2d6929735d74d7728f22fea618a0b9cf5b1281acb13fb

        key = fbceb5cb646b925be0b92f7f6b493d5e5b16e9159732732a
        iv = 2e17b3c7025ae86b
        plaintext = 4c309bc8e1e464fdd2a2b8978645d668d455f7526bd8d7b6716a722f6a900b815c4a73cc30e78806
            5c1dfca7bf5958a6cc5440a5ebe7f8691c20278cde95db764ff8ce8994ece89c
        ciphertext = c02129bdf4bbbd75e71605a00b12c80db6b4e05308e916615011f09147ed915dd1bc67f27f9e027e
            4e13df36b55464a31c11b4d1fe3d855d89df492e1a7201b995c1ba16a8dbabee

        key = 9b162a0df8ad9b61c88676e3d586434570b902f12a2046e0
        iv = ebd6fefe029ad54b
        plaintext = f4c1c918e77355c8156f0fd778da52bff121ae5f2f44eaf4d2754946d0e10d1f18ce3a0176e69c18
            b7d20b6e0d0bee5eb5edfe4bd60e4d92adcd86bce72e76f94ee5cbcaa8b01cfddcea2ade575e66ac
        ciphertext = 1ff3c8709f403a8eff291aedf50c010df5c5ff64a8b205f1fce68564798897a390db16ee0d053856
            b75898009731da290fcc119dad987277aacef694872e880c4bb41471063fae05c89f25e4bd0cad6a
        """)

    /// DES, NIST CAVS TCBCvarkey, TCBCpermop and TCBCsubtab, where the three keys are one: every eighth or fourth.
    static let des = vectors(
        """
        key = 8001010101010101
        iv = 0000000000000000
        plaintext = 0000000000000000
        ciphertext = 95a8d72813daa94d

        key = 0140010101010101
        iv = 0000000000000000
        plaintext = 0000000000000000
        ciphertext = df3b99d6577397c8

        key = 0101200101010101
        iv = 0000000000000000
        plaintext = 0000000000000000
        ciphertext = 90ba680b22aeb525

        key = 0101011001010101
        iv = 0000000000000000
        plaintext = 0000000000000000
        ciphertext = a81fbd448f9e522f

        key = 0101010108010101
        iv = 0000000000000000
        plaintext = 0000000000000000
        ciphertext = 8181b65babf4a975

        key = 0101010101040101
        iv = 0000000000000000
        plaintext = 0000000000000000
        ciphertext = ae13dbd561488933

        key = 0101010101010201
        iv = 0000000000000000
        plaintext = 0000000000000000
        ciphertext = ae8e5caa3ca04e85

        key = 1046913489980131
        iv = 0000000000000000
        plaintext = 0000000000000000
        ciphertext = 88d55e54f54c97b4

        key = 3107915498080101
        iv = 0000000000000000
        plaintext = 0000000000000000
        ciphertext = 7cfd82a593252b4e

        key = 1007940498190101
        iv = 0000000000000000
        plaintext = 0000000000000000
        ciphertext = 4d102196c914ca16

        key = 100791159819010b
        iv = 0000000000000000
        plaintext = 0000000000000000
        ciphertext = 055605816e58608f

        key = 7ca110454a1a6e57
        iv = 0000000000000000
        plaintext = 01a1d6d039776742
        ciphertext = 690f5b0d9a26939b

        key = 04b915ba43feb5b6
        iv = 0000000000000000
        plaintext = 42fd443059577fa2
        ciphertext = af37fb421f8c4095

        key = 07a7137045da2a16
        iv = 0000000000000000
        plaintext = 3bdd119049372802
        ciphertext = dfd64a815caf1a0f

        key = 584023641aba6176
        iv = 0000000000000000
        plaintext = 004bd6ef09176062
        ciphertext = 88bf0db6d70dee56

        key = 49e95d6d4ca229bf
        iv = 0000000000000000
        plaintext = 02fe55778117f12a
        ciphertext = 5a6b612cc26cce4a
        """)
}
